import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { createFairQueue, type FairQueue } from '../src/overload/fair-queue.ts';

const LATER = Date.now() + 60_000;

/** Runs that end when they are told to, and the order in which they began. */
function stage(queue: FairQueue) {
  const began: string[] = [];
  const ends: (() => void)[] = [];
  return {
    began,
    take(user: string, until = LATER) {
      return queue.run(user, until, () => {
        began.push(user);
        return new Promise<void>((resolve) => ends.push(resolve));
      });
    },
    /** The longest-running one ends. */
    async end() {
      ends.shift()?.();
      await sleep(0);
    },
  };
}

it('runs at once what there are turns for, and no more at a time', async () => {
  const queue = createFairQueue(3);
  const { take, began, end } = stage(queue);
  const all = Promise.all(['a', 'a', 'b', 'c', 'd'].map((user) => take(user)));
  expect(began).toEqual(['a', 'a', 'b']);
  expect(queue.waiting).toBe(2);
  for (let i = 0; i < 5; i++) await end();
  await all;
  expect(began).toEqual(['a', 'a', 'b', 'c', 'd']);
  expect(queue.waiting).toBe(0);
});

it('goes from user to user, and within one from first to last', async () => {
  const queue = createFairQueue(1);
  const order: string[] = [];
  const ask = (name: string) =>
    queue.run(name.charAt(0), LATER, async () => {
      await sleep(1);
      order.push(name);
    });
  await Promise.all(['a0', 'a1', 'a2', 'a3', 'b1', 'b2', 'c1'].map(ask));
  expect(order).toEqual(['a0', 'a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
});

it('lets a newcomer wait for one turn of each user, however long their lines are', async () => {
  const queue = createFairQueue(2);
  const { take, began, end } = stage(queue);
  const crowd = Array.from({ length: 100 }, () => take('greedy'));
  const modest = take('modest');
  await end();
  await end();
  expect(began.indexOf('modest')).toBe(3);
  while (queue.waiting > 0) await end();
  await end();
  await end();
  await Promise.all([...crowd, modest]);
});

it('who has waited too long leaves the line, and runs nothing', async () => {
  const queue = createFairQueue(1);
  const { take, began, end } = stage(queue);
  const first = take('a');
  const late = expect(take('b', Date.now() + 10)).rejects.toThrow('not come in time');
  const patient = take('b');
  await late;
  expect(queue.waiting).toBe(1);
  await end();
  await end();
  await Promise.all([first, patient]);
  expect(began).toEqual(['a', 'b']);
});

it('a run that fails passes its turn on, and what it threw is thrown', async () => {
  const queue = createFairQueue(1);
  const fails = queue.run('a', LATER, () => Promise.reject(new TypeError('inner')));
  const next = queue.run('b', LATER, async () => 'ran');
  await expect(fails).rejects.toBeInstanceOf(TypeError);
  await expect(next).resolves.toBe('ran');
});

it('all turns are there again in the end, whatever came in between', async () => {
  const TURNS = 3;
  const queue = createFairQueue(TURNS);
  await Promise.allSettled(
    Array.from({ length: 2_000 }, (_, i) =>
      queue.run(`${i % 7}`, Date.now() + (i % 5) * 4, async () => {
        await sleep(Math.random());
        if (i % 3 === 0) throw new Error('fails');
      }),
    ),
  );
  expect(queue.waiting).toBe(0);
  const { take, began, end } = stage(queue);
  const all = Promise.all(Array.from({ length: TURNS + 1 }, () => take('a')));
  expect(began).toHaveLength(TURNS);
  for (let i = 0; i <= TURNS; i++) await end();
  await all;
});
