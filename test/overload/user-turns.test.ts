import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { QueueTimeoutError } from '../../src/overload/fair-queue.ts';
import { createUserTurns } from '../../src/overload/user-turns.ts';

const LATER = Date.now() + 60_000;

it('runs the tasks of a user one after the other, in order, and other users at once', async () => {
  const turns = createUserTurns();
  const events: string[] = [];
  const task = (user: string, name: string) =>
    turns.run(user, LATER, async () => {
      events.push(`${name} begins`);
      await sleep(5);
      events.push(`${name} ends`);
    });
  await Promise.all([task('ada', 'a1'), task('ada', 'a2'), task('bob', 'b')]);
  expect(events.slice(0, 2)).toEqual(['a1 begins', 'b begins']);
  expect(events.filter((event) => event.startsWith('a'))).toEqual([
    'a1 begins',
    'a1 ends',
    'a2 begins',
    'a2 ends',
  ]);
});

it('starts the next task after a task that failed or did not begin in time', async () => {
  const turns = createUserTurns();
  const fails = turns.run('ada', LATER, async () => {
    await sleep(20);
    throw new TypeError('inner');
  });
  const late = turns.run('ada', Date.now() + 5, () => expect.fail('the task ran'));
  const next = turns.run('ada', LATER, async () => 'ran');
  const ends = await Promise.allSettled([fails, late, next]);
  expect(ends).toMatchObject([
    { reason: expect.any(TypeError) },
    { reason: expect.any(QueueTimeoutError) },
    { value: 'ran' },
  ]);
});

it('keeps nothing for a user without tasks', async () => {
  const turns = createUserTurns();
  const tasks = Array.from({ length: 300 }, (_, i) =>
    turns.run(`${i % 100}`, Date.now() + (i % 7), async () => {
      await sleep(i % 5);
      if (i % 3 === 0) throw new Error('fails');
    }),
  );
  expect(turns.users).toBe(100);
  await Promise.allSettled(tasks);
  expect(turns.users).toBe(0);
});
