import { expect, it } from 'vitest';
import { inTurns } from '../../src/files/queue/in-turns.ts';

const userOf = (row: string) => row.charAt(0);

it('one row of each user comes before a second row of any user', () => {
  const backlog = Array.from({ length: 20 }, (_, n) => `s${n}`);
  const rows = inTurns([...backlog, 'a0', 'b0', 'b1'], userOf);
  expect(rows).toHaveLength(23);
  expect(rows.slice(0, 6)).toEqual(['s0', 'a0', 'b0', 's1', 'b1', 's2']);
  expect(inTurns([], userOf)).toEqual([]);
});

it('the rows of a round keep their order', () => {
  expect(inTurns(['a0', 'b0', 'b1', 'a1'], userOf)).toEqual(['a0', 'b0', 'b1', 'a1']);
});
