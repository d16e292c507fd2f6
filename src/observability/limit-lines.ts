type LimitedLine = (line: (unlogged: number) => void) => void;

/** Writes at most one line per interval. Each line gets the number of lines that were left out before it. */
export function limitLines(intervalMs: number): LimitedLine {
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

/** Kinds are few. The bound holds if a server of another program invents an error code for each answer. */
const KINDS_MAX = 100;

/** Writes at most one line of each kind per interval. */
export function limitLinesByKind(
  intervalMs: number,
): (kind: string, ...line: Parameters<LimitedLine>) => void {
  const limits = new Map<string, LimitedLine>();
  return (kind, line) => {
    if (limits.size >= KINDS_MAX) limits.clear();
    const limit = limits.get(kind) ?? limitLines(intervalMs);
    limits.set(kind, limit);
    limit(line);
  };
}

/**
 * The least time between two lines about failures of one kind, because all steps fail in an outage of Postgres or S3.
 * The metrics count all of them.
 */
export const FAILURE_INTERVAL_MS = 10_000;

/** Names the kind of an error by words that do not differ from row to row, as messages do: types, reasons and codes. */
export function kindOfError(error: unknown): string {
  return [error, (error as Partial<Error> | undefined)?.cause].flatMap(wordsOf).join(' ');
}

function wordsOf(error: unknown): string[] {
  const { name, reason, code } = (error ?? {}) as Record<'name' | 'reason' | 'code', unknown>;
  return [name, reason, code].filter((word) => typeof word === 'string');
}
