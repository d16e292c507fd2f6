import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { createBatcher } from '../../src/client/many/batcher.ts';

/**
 * A batcher whose calls take 20 ms and answer each request with itself, and what it has sent.
 *
 * @param firstCall the end of the first call, instead of 20 ms
 */
function fixtureOf({ calls = 1, firstCall = sleep(20) as Promise<unknown> } = {}) {
  const sent: { requests: number[]; atMs: number }[] = [];
  const stop = new AbortController();
  let underWay = 0;
  let underWayMax = 0;
  const ask = createBatcher<number, number>({
    max: 10,
    enough: 5,
    lingerMs: 5,
    calls,
    signal: stop.signal,
    pauseAfter: () => 200,
    async send(requests) {
      sent.push({ requests, atMs: performance.now() });
      underWayMax = Math.max(underWayMax, ++underWay);
      await (sent.length === 1 ? firstCall : sleep(20));
      underWay--;
      return requests.map((request) => (request < 0 ? new Error('negative') : request));
    },
  });
  return { ask, sent, stop, underWayMax: () => underWayMax };
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

it.each([1, 2])('the batcher makes at most %d calls at once, each of at most 10 requests', async (calls) => {
  const { ask, sent, underWayMax } = fixtureOf({ calls });
  expect(await Promise.all(upTo(60).map(ask))).toEqual(upTo(60));
  expect(underWayMax()).toBe(calls);
  expect(Math.max(...sent.map(({ requests }) => requests.length))).toBe(10);
  expect(sent.flatMap(({ requests }) => requests)).toEqual(upTo(60));
});

it('the batcher answers each request with its own result or error', async () => {
  const { ask } = fixtureOf();
  const [good, bad] = await Promise.allSettled([ask(1), ask(-1)]);
  expect(good).toMatchObject({ status: 'fulfilled', value: 1 });
  expect(bad).toMatchObject({ status: 'rejected', reason: { message: 'negative' } });
});

it('the batcher makes no call in the pause after an error, although a request came before the error', async () => {
  const { promise: firstCall, reject: fail } = Promise.withResolvers();
  const { ask, sent } = fixtureOf({ calls: 2, firstCall });
  const first = ask(1);
  await expect.poll(() => sent.length, { interval: 1 }).toBe(1);
  // This request waits 5 ms for others, and the first call fails meanwhile.
  const second = ask(2);
  const failedMs = performance.now();
  fail(new Error('overloaded'));
  await expect(first).rejects.toThrow('overloaded');
  expect(await second).toBe(2);
  expect((sent[1]?.atMs ?? 0) - failedMs).toBeGreaterThanOrEqual(199);
});

it('an abort ends what waits, and no call is made any more', async () => {
  const { ask, sent, stop } = fixtureOf();
  const answers = Promise.allSettled(upTo(3).map(ask));
  stop.abort(new Error('enough'));
  for (const answer of await answers) expect(answer).toMatchObject({ reason: { message: 'enough' } });
  await expect(ask(4)).rejects.toThrow('enough');
  await sleep(30);
  expect(sent).toEqual([]);
});
