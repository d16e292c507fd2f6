import type { Terminal } from '../../terminal.ts';
import { failureOf } from '../failure.ts';
import { countText } from './quantities.ts';

/**
 * The least time between two lines. If the service or S3 is down, all files under way are retried at once, and a line
 * for each of them would fill the screen.
 */
const LINE_INTERVAL_MS = 1_000;

export interface RetryOf {
  path: string;
  error: unknown;
  attempt: number;
  delayMs: number;
}

/** Prints a line to stderr when a step of a file is retried. Retries that get no line are counted in the next line. */
export function retryLines(terminal: Terminal, now = () => performance.now()) {
  let [printedMs, hidden] = [Number.NEGATIVE_INFINITY, 0];
  return ({ path, error, attempt, delayMs }: RetryOf): void => {
    const nowMs = now();
    if (nowMs - printedMs < LINE_INTERVAL_MS) {
      hidden += 1;
      return;
    }
    const others = hidden > 0 ? `; ${countText(hidden)} other retries since the last such line` : '';
    const seconds = (delayMs / 1_000).toFixed(1);
    terminal.complain(
      `${path}: ${failureOf(error).message}; attempt ${countText(attempt + 1)} in ${seconds} s${others}`,
    );
    [printedMs, hidden] = [nowMs, 0];
  };
}
