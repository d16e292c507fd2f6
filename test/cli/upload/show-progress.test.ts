import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { showProgress } from '../../../src/cli/upload/output/show-progress.ts';
import { newRunState } from '../../../src/cli/upload/upload-files.ts';
import { type CapturedTerminal, captureTerminal } from '../../harness/captured-terminal.ts';

const MiB = 1024 ** 2;

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** The line that is drawn after 100 ms. */
function nextLine(terminal: CapturedTerminal): string {
  vi.advanceTimersByTime(100);
  return terminal.stderr.split('\r\x1b[K').at(-1) ?? '';
}

const item = (path: string) => ({ path, filename: path, source: path });

it('the progress line counts complete files, and the sent bytes of the files under way', () => {
  const terminal = captureTerminal(true);
  const totals = { files: 2, bytes: 40 * MiB, isComplete: true };
  const state = newRunState();
  using _line = showProgress(terminal, totals, state);
  // The service had a file of 20 MiB already. 5 MiB of the other file have been sent.
  Object.assign(state.tally, { existing: 1, bytesStored: 20 * MiB });
  Object.assign(state, { bytesSent: 5 * MiB, bytesHashed: 40 * MiB });
  expect(nextLine(terminal)).toMatch(/ 1\/2 files {2}25\.0 of 40\.0 MiB/);
  // The file is complete, and the figure of sent bytes is older than that.
  Object.assign(state.tally, { uploaded: 1, bytesStored: 40 * MiB, bytesSent: 20 * MiB });
  expect(nextLine(terminal)).toMatch(/^100 % .* 2\/2 files {2}40\.0 of 40\.0 MiB/);
});

it('the progress line shows that a file is hashed', () => {
  const terminal = captureTerminal(true);
  const state = newRunState();
  using _line = showProgress(terminal, { files: 1, bytes: 40 * MiB, isComplete: true }, state);
  nextLine(terminal);
  state.bytesHashed = 10 * MiB;
  expect(nextLine(terminal)).toMatch(/hashing 10\.0 of 40\.0 MiB {2}100\.0 MiB\/s/);
});

it('the progress line names the file under way if there is only one', () => {
  const terminal = captureTerminal(true);
  const [first, second] = [item('first.mp4'), item('second.mp4')];
  const state = newRunState();
  using _line = showProgress(terminal, { files: 2, bytes: 10, isComplete: true }, state);
  for (const file of [first, second]) state.underWay.add(file);
  expect(nextLine(terminal)).not.toContain('.mp4');
  state.underWay.delete(first);
  expect(nextLine(terminal)).toMatch(/ {2}second\.mp4$/);
});

it('the progress line is drawn ten times a second, and not after its end', () => {
  const terminal = captureTerminal(true);
  const line = showProgress(terminal, { files: 1, bytes: 1, isComplete: true }, newRunState());
  vi.advanceTimersByTime(1_000);
  expect(terminal.stderr.match(/0 %/g)).toHaveLength(10);
  line[Symbol.dispose]();
  const { stderr } = terminal;
  expect(stderr.endsWith('\r\x1b[K')).toBe(true);
  vi.advanceTimersByTime(1_000);
  expect(terminal.stderr).toBe(stderr);
});
