import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { expect, it } from 'vitest';
import { ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { PutError } from '../../src/client/upload/put-error.ts';
import { createRetry, type RetryReport, retryInfoMs } from '../../src/client/upload/retry.ts';

/** An error of the service, with RetryInfo if `retryAfterMs` is given. */
function refusal(code: Code, retryAfterMs?: number): ConnectError {
  const error = new ConnectError('no', code);
  error.details.push({ desc: ErrorInfoSchema, value: { reason: 'X', domain: 'files.v1' } });
  if (retryAfterMs !== undefined) {
    const seconds = BigInt(Math.floor(retryAfterMs / 1_000));
    const retryDelay = { seconds, nanos: (retryAfterMs % 1_000) * 1_000_000 };
    error.details.push({ desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) });
  }
  return error;
}

const signal = new AbortController().signal;

/** Runs a step that fails `failures` times with this error. Returns the number of runs and their duration. */
async function retriesOf(error: unknown, failures = 1) {
  let runs = 0;
  const startMs = performance.now();
  await createRetry(60_000)(signal, async () => {
    if (runs++ < failures) throw error;
  }).catch(() => undefined);
  return { runs, ms: performance.now() - startMs };
}

const put = (status: number, code = '') => new PutError('no', { status, code });

it.each([
  ['the service is busy and sends RetryInfo: retries', refusal(Code.ResourceExhausted, 1), 2],
  ['the service cannot be reached: retries', new ConnectError('no', Code.Unavailable), 2],
  ['a connection broke: retries', new ConnectError('no', Code.Aborted), 2],
  ['a quota is used up: does not retry', refusal(Code.ResourceExhausted), 1],
  ['the request is invalid: does not retry', refusal(Code.InvalidArgument), 1],
  ['S3 fails: retries', put(500), 2],
  ['S3 is busy: retries', put(503, 'SlowDown'), 2],
  ['S3 found the client slow: retries', put(400, 'RequestTimeout'), 2],
  ['S3 refuses: does not retry', put(400, 'InvalidRequest'), 1],
  ['S3 does not answer: retries', new PutError('no'), 2],
  ['any other error: does not retry', new Error('no'), 1],
])('%s', async (_, error, runs) => {
  expect((await retriesOf(error)).runs).toBe(runs);
});

it('tries a refused URL once more', async () => {
  expect((await retriesOf(put(403, 'AccessDenied'), 5)).runs).toBe(2);
});

it('waits for the delay of RetryInfo', async () => {
  expect((await retriesOf(refusal(Code.Unavailable, 300))).ms).toBeGreaterThanOrEqual(299);
});

it.each([
  [-31_536_000n, 0],
  [31_536_000n, 60_000],
  [2n ** 63n - 1n, 60_000],
])('waits between 0 and 60 s, also if RetryInfo says %i s', (seconds, ms) => {
  const error = new ConnectError('no', Code.Unavailable);
  error.details.push({
    desc: RetryInfoSchema,
    value: create(RetryInfoSchema, { retryDelay: { seconds, nanos: 0 } }),
  });
  expect(retryInfoMs(error)).toBe(ms);
});

it('stops waiting when it is aborted', async () => {
  const abort = new AbortController();
  // The report comes before the pause begins, which is longer than the time of a test.
  const retry = createRetry(60_000, () => setImmediate(() => abort.abort(new Error('enough'))));
  const retried = retry(abort.signal, () => Promise.reject(refusal(Code.Unavailable, 40_000)));
  await expect(retried).rejects.toThrow(/enough|aborted/);
});

it('reports each retry, with the number of the attempt that failed', async () => {
  const reports: RetryReport[] = [];
  const errors = [refusal(Code.Unavailable, 30), new PutError('no')];
  const left = errors.values();
  await createRetry(60_000, (report) => reports.push(report))(signal, async () => {
    for (const error of left) throw error;
  });
  expect(reports.map(({ error, attempt }) => [error, attempt])).toEqual([
    [errors[0], 1],
    [errors[1], 2],
  ]);
  expect(reports[0]?.delayMs).toBeGreaterThanOrEqual(30);
});
