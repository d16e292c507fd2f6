import pg from 'pg';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { databaseUnavailable } from '../../src/files/file-error.ts';
import { dropUndeliveredEvents } from '../../src/server/events/drop-events.ts';
import { waitFor } from '../harness/wait-for.ts';

const RETRY_INTERVAL_MS = 10;

type Answer = { dropped: number; isLeft: boolean } | Error;

/** The queue answers each call with the next of these answers, and from then on that nothing is left. */
function run(answers: Answer[], signal = new AbortController().signal) {
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'info' }, { write: (line) => lines.push(JSON.parse(line)) });
  const limits: number[] = [];
  const events = {
    async dropEvents(_: unknown, limit: number) {
      limits.push(limit);
      const answer = answers.shift() ?? { dropped: 0, isLeft: false };
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
  return { lines, limits, done: dropUndeliveredEvents(events, log, signal, RETRY_INTERVAL_MS) };
}

const left = (dropped: number) => ({ dropped, isLeft: true });

it('a start without events drops batches until none is left, and logs one line', async () => {
  const { lines, limits, done } = run([left(100), left(100), { dropped: 7, isLeft: false }]);
  await done;
  expect(limits).toHaveLength(3);
  expect(lines).toMatchObject([{ events: 207 }]);
});

it('a batch whose rows are all locked does not end the drop, and pauses it', async () => {
  const { lines, limits, done } = run([left(2), left(0), left(0), { dropped: 1, isLeft: false }]);
  const begunMs = performance.now();
  await done;
  expect(limits).toHaveLength(4);
  expect(lines).toMatchObject([{ events: 3 }]);
  expect(performance.now() - begunMs).toBeGreaterThan(1.5 * RETRY_INTERVAL_MS);
});

it('a start without events logs nothing if there is nothing to drop', async () => {
  const { lines, done } = run([]);
  await done;
  expect(lines).toEqual([]);
});

it.each([
  ['table', '42P01', 'relation "files" does not exist'],
  ['columns for events', '42703', 'column "event_due_at" does not exist'],
])('a start without events drops nothing on a database without the %s', async (_, code, message) => {
  const behind = Object.assign(new pg.DatabaseError(message, 0, 'error'), { code });
  const { lines, limits, done } = run([behind, left(5)]);
  await done;
  expect(limits).toHaveLength(1);
  expect(lines).toEqual([]);
});

it('dropping events is tried again after an error, and ends when the service stops', async () => {
  const noAnswer = databaseUnavailable(new Error('no answer'));
  const stopping = new AbortController();
  const { lines, limits, done } = run(
    [noAnswer, left(3), ...Array.from({ length: 1_000 }, () => noAnswer)],
    stopping.signal,
  );
  await waitFor(() => expect(limits.length).toBeGreaterThan(4));
  stopping.abort();
  await done;
  const tries = limits.length;
  await new Promise((resolve) => setTimeout(resolve, 5 * RETRY_INTERVAL_MS));
  expect(limits).toHaveLength(tries);
  expect(lines.at(-1)).toMatchObject({ events: 3 });
});
