import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createProgressLine } from '../../src/cli/progress-line.ts';
import { captureTerminal } from '../harness/captured-terminal.ts';

beforeEach(() => {
  vi.useFakeTimers();
  // The clock of a process that has run for a while.
  vi.advanceTimersByTime(60_000);
});
afterEach(() => vi.useRealTimers());

it('a progress line is drawn at most five times a second, with the seconds since its beginning', () => {
  const terminal = captureTerminal(true);
  const draw = createProgressLine(terminal);
  for (let i = 0; i < 100; i++) {
    vi.advanceTimersByTime(10);
    draw((seconds) => `after ${seconds} s`);
  }
  const drawn = terminal.stderr.split('\r\x1b[K');
  expect(drawn).toEqual(['after 0.01 s', 'after 0.21 s', 'after 0.41 s', 'after 0.61 s', 'after 0.81 s']);
});
