import { expect, it } from 'vitest';
import { createStorageEvents, type MessageOutcome } from '../../src/hints/storage-events.ts';
import { ofCephRgw } from './messages.ts';

const BUCKET = 'files';

/** An endpoint whose statements fail. */
function failingEndpoint() {
  const outcomes: MessageOutcome[] = [];
  const errors: unknown[] = [];
  const endpoint = createStorageEvents({
    token: 'token',
    bucket: BUCKET,
    makeDue: () => Promise.reject(new Error('Postgres does not answer')),
    onDue: () => undefined,
    onMessage: (outcome) => outcomes.push(outcome),
    onError: (error) => errors.push(error),
  });
  return { endpoint, outcomes, errors };
}

it('a failed message must be repeated, and is logged', async () => {
  const { endpoint, outcomes, errors } = failingEndpoint();
  const answer = await endpoint.receive(ofCephRgw(BUCKET, 'ada_a.txt'));
  expect(answer).toEqual({ status: 503, text: 'the message could not be handled; repeat it' });
  expect([outcomes, errors]).toEqual([['failed'], [new Error('Postgres does not answer')]]);
});

it('messages that are refused because too many wait are counted, and not logged', async () => {
  const { endpoint, outcomes, errors } = failingEndpoint();
  const message = (from: number) => ({
    Records: Array.from({ length: 1_000 }, (_, at) => ({
      s3: { bucket: { name: BUCKET }, object: { key: `ada_${from + at}` } },
    })),
  });
  const answers = await Promise.all([0, 1_000, 2_000].map((from) => endpoint.receive(message(from))));
  expect(answers.map(({ status }) => status)).toEqual([503, 503, 503]);
  expect(outcomes).toEqual(['failed', 'failed', 'failed']);
  expect(errors).toHaveLength(2);
});
