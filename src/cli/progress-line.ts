import type { Terminal } from './terminal.ts';

/** The least time between two updates of the progress line: five updates a second are enough for a reader. */
const UPDATE_INTERVAL_MS = 200;

/**
 * Returns a function that a command may call as often as it makes progress. It draws the progress line at most five
 * times a second.
 */
export function createProgressLine(terminal: Terminal): (line: (seconds: number) => string) => void {
  const startMs = performance.now();
  let lastMs = 0;
  return (line) => {
    const nowMs = performance.now();
    if (nowMs - lastMs < UPDATE_INTERVAL_MS) return;
    lastMs = nowMs;
    terminal.progress(line((nowMs - startMs) / 1_000));
  };
}
