import { Code, ConnectError } from '@connectrpc/connect';
import { expect, it } from 'vitest';
import { retryLines } from '../../../src/cli/upload/output/retry-lines.ts';
import { captureTerminal } from '../../harness/captured-terminal.ts';

it('a retry is told on stderr, at most one a second, and the others are counted', () => {
  let nowMs = 0;
  const terminal = captureTerminal();
  const onRetry = retryLines(terminal, () => nowMs);
  const error = new ConnectError('connect ECONNREFUSED', Code.Unavailable);
  for (let i = 0; i < 300; i++) {
    nowMs = i * 10;
    onRetry({ path: `a${i}`, error, attempt: 1, delayMs: 250 });
  }
  const words = 'no answer: connect ECONNREFUSED (Unavailable); attempt 2 in 0.3 s';
  expect(terminal.stdout).toBe('');
  expect(terminal.stderr).toBe(
    `a0: ${words}\na100: ${words}; 99 other retries since the last such line\na200: ${words}; 99 other retries since the last such line\n`,
  );
});
