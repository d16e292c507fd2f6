import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { createFairQueue, type FairQueue } from '../../src/overload/fair-queue.ts';

const LATER = Date.now() + 60_000;

/** Starts tasks that run until the test ends them, and records the order in which the tasks began. */
function controlledTasks(queue: FairQueue) {
  const began: string[] = [];
  const ends: (() => void)[] = [];
  return {
    began,
    start(user: string | undefined, until = LATER) {
      return queue.run(user, until, () => {
        began.push(user ?? '');
        return new Promise<void>((resolve) => ends.push(resolve));
      });
    },
    /** Ends the task that has been running longest. */
    async end() {
      ends.shift()?.();
      await sleep(0);
    },
  };
}

it('runs as many tasks at once as the limit allows, and queues the others', async () => {
  const queue = createFairQueue(3);
  const { start, began, end } = controlledTasks(queue);
  const all = Promise.all(['a', 'a', 'b', 'c', 'd'].map((user) => start(user)));
  expect(began).toEqual(['a', 'a', 'b']);
  expect(queue.waiting).toBe(2);
  for (let i = 0; i < 5; i++) await end();
  await all;
  expect(began).toEqual(['a', 'a', 'b', 'c', 'd']);
  expect(queue.waiting).toBe(0);
});

it('runs tasks round-robin among users, and in order for each user', async () => {
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

it('lets a lone user have half of the runs, and a new user begin at once, however long the other tasks run', async () => {
  const queue = createFairQueue(10);
  const { start, began, end } = controlledTasks(queue);
  const runs = (user: string) => began.filter((one) => one === user).length;
  const all = ['lone', 'second', 'third'].flatMap((user) => Array.from({ length: 40 }, () => start(user)));
  // Of ten runs, the first user holds five, the second as many as are then free, and so on.
  expect([runs('lone'), runs('second'), runs('third')]).toEqual([5, 3, 1]);
  all.push(start('new'));
  expect(began.at(-1)).toBe('new');
  while (queue.waiting > 0) await end();
  for (let i = 0; i < 10; i++) await end();
  await Promise.all(all);
});

it('lets work of no user have all runs', async () => {
  const queue = createFairQueue(3);
  const { start, began, end } = controlledTasks(queue);
  const all = Promise.all([1, 2, 3].map(() => start(undefined)));
  expect(began).toHaveLength(3);
  for (let i = 0; i < 3; i++) await end();
  await all;
});

it('lets a new user wait for one run of each other user, however many tasks they have queued', async () => {
  const queue = createFairQueue(1);
  const { start, began, end } = controlledTasks(queue);
  const crowd = Array.from({ length: 100 }, () => start('greedy'));
  const modest = start('modest');
  await end();
  await end();
  expect(began.indexOf('modest')).toBe(2);
  while (queue.waiting > 0) await end();
  await end();
  await end();
  await Promise.all([...crowd, modest]);
});

it('rejects a task that could not begin in time, and never runs the task', async () => {
  const queue = createFairQueue(1);
  const { start, began, end } = controlledTasks(queue);
  const first = start('a');
  const late = expect(start('b', Date.now() + 10)).rejects.toThrow('did not begin in time');
  const patient = start('b');
  await late;
  expect(queue.waiting).toBe(1);
  await end();
  await end();
  await Promise.all([first, patient]);
  expect(began).toEqual(['a', 'b']);
});

it('starts the next task after a task that failed, and rethrows the error of the failed task', async () => {
  const queue = createFairQueue(1);
  const fails = queue.run('a', LATER, () => Promise.reject(new TypeError('inner')));
  const next = queue.run('b', LATER, async () => 'ran');
  await expect(fails).rejects.toBeInstanceOf(TypeError);
  await expect(next).resolves.toBe('ran');
});

it('has its full concurrency again after 2,000 tasks that succeed, fail or time out', async () => {
  const CONCURRENCY = 3;
  const queue = createFairQueue(CONCURRENCY);
  await Promise.allSettled(
    Array.from({ length: 2_000 }, (_, i) =>
      queue.run(`${i % 7}`, Date.now() + (i % 5) * 4, async () => {
        await sleep(Math.random());
        if (i % 3 === 0) throw new Error('fails');
      }),
    ),
  );
  expect(queue.waiting).toBe(0);
  const { start, began, end } = controlledTasks(queue);
  const all = Promise.all(Array.from({ length: CONCURRENCY + 1 }, (_, i) => start(`${i}`)));
  expect(began).toHaveLength(CONCURRENCY);
  for (let i = 0; i <= CONCURRENCY; i++) await end();
  await all;
});
