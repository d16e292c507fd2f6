import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { ReleasingSet } from '../../src/rpc/memory/releasing-set.ts';

/** Members that are in the set at once, as requests under way. */
const AT_ONCE = 40;
const MEMBERS = 50_000;
/** The size of a member. */
const MEMBER_BYTES = 1_000;

function oldBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')?.space_used_size ?? 0;
}

it('deleted members do not reach the old generation of the heap', () => {
  setFlagsFromString('--expose-gc');
  const gc: () => void = runInNewContext('gc');
  const set = new ReleasingSet<number[]>();
  const deletes: (() => void)[] = [];
  const pass = (members: number) => {
    for (let index = 0; index < members; index++) {
      deletes.push(set.add(new Array(MEMBER_BYTES / 8).fill(index)));
      if (deletes.length > AT_ONCE) deletes.shift()?.();
    }
  };
  pass(2 * AT_ONCE);
  // The set is in the old generation after this.
  gc();
  const startBytes = oldBytes();
  pass(MEMBERS);
  expect(oldBytes() - startBytes).toBeLessThan((MEMBERS * MEMBER_BYTES) / 20);
});

it('takes the oldest member first, and skips deleted members', () => {
  const set = new ReleasingSet<string>();
  const [deleteFirst] = ['first', 'second', 'third'].map((member) => set.add(member));
  deleteFirst?.();
  expect([...set]).toEqual(['second', 'third']);
  expect(set.takeOldest()).toBe('second');
  expect(set.size).toBe(1);
  expect([set.takeOldest(), set.takeOldest()]).toEqual(['third', undefined]);
});
