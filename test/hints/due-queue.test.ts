import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { FileRef } from '../../src/files/file.ts';
import type { S3Key } from '../../src/files/rules/s3-key.ts';
import { createDueQueue, FILES_MAX, QueueFullError } from '../../src/hints/due-queue.ts';

const file = (name: string | number): FileRef => ({ userId: 'ada', s3Key: `ada_${name}` as S3Key });
const files = (count: number, from = 0) => Array.from({ length: count }, (_, index) => file(from + index));

/** A queue whose statements end when the test says so. */
function heldQueue() {
  const statements: { keys: string[]; end: PromiseWithResolvers<void> }[] = [];
  let dueTimes = 0;
  const queue = createDueQueue({
    makeDue: (_, refs) => {
      const end = Promise.withResolvers<void>();
      statements.push({ keys: refs.map(({ s3Key }) => s3Key), end });
      return end.promise;
    },
    onDue: () => {
      dueTimes++;
    },
  });
  return { queue, statements, dueTimes: () => dueTimes };
}

it('a message that arrives alone gets a statement at once, and is done after it', async () => {
  const { queue, statements, dueTimes } = heldQueue();
  let isDone = false;
  const added = queue.add([file('a')]).then(() => {
    isDone = true;
  });
  expect(statements.map(({ keys }) => keys)).toEqual([['ada_a']]);
  await new Promise(setImmediate);
  expect([isDone, dueTimes()]).toEqual([false, 0]);
  statements[0]?.end.resolve();
  await added;
  expect(dueTimes()).toBe(1);
});

it('messages that arrive while a statement runs share the next one, with each file once', async () => {
  const { queue, statements } = heldQueue();
  const added = [
    queue.add([file('a')]),
    queue.add([file('b'), file('c')]),
    queue.add([file('c'), file('a')]),
  ];
  expect(statements).toHaveLength(1);
  statements[0]?.end.resolve();
  await added[0];
  await new Promise(setImmediate);
  expect(statements.map(({ keys }) => keys)).toEqual([['ada_a'], ['ada_b', 'ada_c', 'ada_a']]);
  statements[1]?.end.resolve();
  await Promise.all(added);
});

it('a failed statement fails its messages, and no later message', async () => {
  const { queue, statements, dueTimes } = heldQueue();
  const failing = expect(queue.add([file('a')])).rejects.toThrow('no answer');
  const later = queue.add([file('b')]);
  statements[0]?.end.reject(new Error('no answer'));
  await failing;
  await new Promise(setImmediate);
  statements[1]?.end.resolve();
  await later;
  expect(dueTimes()).toBe(1);
});

it(`at most ${FILES_MAX} files wait, and a message with more is refused at once`, async () => {
  const { queue, statements } = heldQueue();
  const first = queue.add([file('first')]);
  const full = queue.add(files(FILES_MAX));
  await expect(queue.add([file('too many')])).rejects.toThrow(QueueFullError);
  statements[0]?.end.resolve();
  await first;
  await new Promise(setImmediate);
  const next = queue.add([file('next')]);
  for (let at = 1; at <= 11; at++) {
    statements[at]?.end.resolve();
    await new Promise(setImmediate);
  }
  await Promise.all([full, next]);
  expect(statements.map(({ keys }) => keys.length)).toEqual([1, ...Array(10).fill(100), 1]);
});

it('a message has 2 s, also if it waits for a statement before its own', async () => {
  const deadlines: number[] = [];
  const queue = createDueQueue({
    makeDue: async (work) => {
      deadlines.push(work.deadline);
      await sleep(300);
    },
    onDue: () => undefined,
  });
  const now = Date.now();
  await Promise.all([queue.add([file('a')]), queue.add([file('b')])]);
  for (const deadline of deadlines) expect(Math.abs(deadline - now - 2_000)).toBeLessThan(200);
  expect(deadlines).toHaveLength(2);
});
