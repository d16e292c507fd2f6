/** Writes at most one line per interval. Each line gets the number of lines that were left out before it. */
export function limitLines(intervalMs: number): (line: (unlogged: number) => void) => void {
  let nextLineMs = 0;
  let unlogged = 0;
  return (line) => {
    const nowMs = Date.now();
    if (nowMs < nextLineMs) {
      unlogged++;
      return;
    }
    line(unlogged);
    nextLineMs = nowMs + intervalMs;
    unlogged = 0;
  };
}
