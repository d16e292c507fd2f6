import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BarState, createBar } from '../../../src/cli/upload/output/bar.ts';
import { terminalColumns } from '../../../src/text/columns.ts';

const MiB = 1024 ** 2;

const state = (changes: Partial<BarState> = {}): BarState => ({
  totals: { files: 10_000, bytes: 4_000 * MiB, isComplete: true },
  filesDone: 2_500,
  bytesStored: 1_000 * MiB,
  bytesHashed: 0,
  onlyPath: undefined,
  ...changes,
});

/** Draws `before`, and returns the line that the bar draws for the next state one second later. */
function lineAfter(before: BarState, now: BarState, columns: number): string {
  const bar = createBar();
  bar.render(before, columns, 0);
  return bar.render(now, columns, 1_000);
}

const before = state({ filesDone: 2_400, bytesStored: 960 * MiB });

describe('the progress line', () => {
  it.each([
    [24, ' 25 %  1 min left'],
    [30, ' 25 %  2,500/10,000 files'],
    [40, ' 25 %  2,500/10,000 files  1 min left'],
    [50, ' 25 %  2,500/10,000 files  40.0 MiB/s  1 min left'],
    [60, ` 25 %  ██░░░░░░░  2,500/10,000 files  40.0 MiB/s  1 min left`],
    [80, ` 25 %  ███░░░░░░░░░░  2,500/10,000 files  1.0 of 3.9 GiB  40.0 MiB/s  1 min left`],
  ])('shows at %i columns what is important', (columns, line) => {
    expect(lineAfter(before, state(), columns)).toBe(line);
  });

  it('shows all at 200 columns', () => {
    expect(lineAfter(before, state(), 200)).toBe(
      ` 25 %  ${'█'.repeat(10)}${'░'.repeat(30)}  2,500/10,000 files  1.0 of 3.9 GiB  40.0 MiB/s  1 min left`,
    );
  });

  it('fits each width, with the path of the last file if there is room', () => {
    const onlyPath = '写真/家族の写真🎉🎉とても長い名前のビデオファイル.mp4';
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 250 }), (columns) => {
        expect(terminalColumns(lineAfter(before, state({ onlyPath }), columns))).toBeLessThanOrEqual(columns);
      }),
    );
    expect(lineAfter(before, state({ onlyPath }), 200)).toMatch(/ {2}写真\/家族の写真.*\.mp4$/);
    expect(lineAfter(before, state({ onlyPath }), 110)).toMatch(/ {2}写真\/.*…$/);
    expect(lineAfter(before, state({ onlyPath }), 40)).not.toContain('写');
    // The path would be cut to fewer than 12 columns.
    expect(lineAfter(before, state({ onlyPath }), 88)).not.toContain('写');
  });

  it('takes all columns while its bar can grow, also where it has no speed and no number of files', () => {
    const onlyPath = 'video.mp4';
    const totals = { files: 1, bytes: 1_000, isComplete: true };
    for (const columns of [40, 50, 60]) {
      const line = createBar().render(state({ totals, filesDone: 0, bytesStored: 0, onlyPath }), columns, 0);
      expect(line).toMatch(/^ {2}0 % {2}░+ {2}0 of 1000 B( {2}video\.mp4)?$/);
      expect(terminalColumns(line)).toBe(columns);
    }
  });

  it('escapes what a path tells the terminal', () => {
    expect(lineAfter(before, state({ onlyPath: 'a\x1b[2J' }), 200)).toContain('a\\u001b[2J');
  });

  it('promises no share and no time before all files are counted', () => {
    const totals = { files: 3_000, bytes: 1_200 * MiB, isComplete: false };
    expect(lineAfter({ ...before, totals }, state({ totals }), 200)).toBe(
      '2,500/3,000+ files  1000.0 MiB  40.0 MiB/s',
    );
  });

  it('shows the hashing of a single large file, which counts as a part of the work', () => {
    const totals = { files: 1, bytes: 1_000 * MiB, isComplete: true };
    const hashing = { totals, filesDone: 0, bytesStored: 0 };
    const line = lineAfter(
      state(hashing),
      state({ ...hashing, bytesHashed: 500 * MiB, onlyPath: 'a.mp4' }),
      100,
    );
    expect(line).toMatch(/^ {2}9 % {2}[█░]+ {2}hashing 500\.0 of 1000\.0 MiB {2}500\.0 MiB\/s {2}a\.mp4$/);
  });

  it('counts many small files by their number, and a large one by its bytes', () => {
    const totals = { files: 1_001, bytes: 1_000 * MiB + 1_000, isComplete: true };
    const small = lineAfter(state(), state({ totals, filesDone: 1_000, bytesStored: 1_000 }), 60);
    expect(small).toMatch(/^ 14 %/);
    const large = lineAfter(state(), state({ totals, filesDone: 1, bytesStored: 1_000 * MiB }), 60);
    expect(large).toMatch(/^ 85 %/);
  });

  it('shows the speed of the last four seconds', () => {
    const bar = createBar();
    const shown = [0, 100, 200, 300, 400, 401, 402, 403, 404].map((mebibytes, second) =>
      bar.render(state({ bytesStored: mebibytes * MiB }), 200, second * 1_000),
    );
    expect(shown[0]).not.toContain('/s');
    expect(shown[4]).toContain('  100.0 MiB/s  ');
    expect(shown[8]).toContain('  1.0 MiB/s  ');
  });

  it('never shows more than all, when files grow or appear after the count', () => {
    const totals = { files: 2, bytes: 10, isComplete: true };
    expect(lineAfter(state(), state({ totals, filesDone: 3, bytesStored: 20 }), 100)).toMatch(
      /^100 % .* 3\/3 files {2}20 of 20 B/,
    );
    const nothing = { files: 0, bytes: 0, isComplete: true };
    expect(lineAfter(state(), state({ totals: nothing, filesDone: 0, bytesStored: 0 }), 100)).toMatch(
      /^ {2}0 %/,
    );
  });
});
