import { expect, it, onTestFinished, vi } from 'vitest';
import { databaseUnavailable, FileError, storageUnavailable } from '../../src/files/file-error.ts';
import { parseS3Key } from '../../src/files/rules/s3-key.ts';
import { createObserver, recordCall } from '../../src/observability/call-log.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import type { CallOutcome } from '../../src/rpc/call-gate.ts';
import { ampleCall } from '../harness/deadline.ts';
import { captureLog } from './captured-log.ts';

const CALL: CallOutcome = {
  method: 'ListFiles',
  code: 'OK',
  reason: '',
  seconds: 0.002,
  userId: 'u',
  error: undefined,
};

/** A logger at the service's default level. */
const openLog = () => captureLog('info');

function logged(call: Partial<CallOutcome>): Record<string, unknown>[] {
  const { log, lines } = openLog();
  recordCall(log, createMetrics())({ ...CALL, ...call });
  return lines();
}

it.each<[string, Partial<CallOutcome>]>([
  ['a successful call', {}],
  ['a call with an error of the caller', { code: 'INVALID_ARGUMENT', reason: 'INVALID_MD5' }],
  ['a call that missed a short deadline', { code: 'DEADLINE_EXCEEDED', error: new Error('deadline') }],
])('%s is not logged', (_, call) => {
  expect(logged(call)).toEqual([]);
});

it.each<[string, Partial<CallOutcome>, object]>([
  ['a slow call', { seconds: 1.5 }, { level: 40, msg: 'slow call', method: 'ListFiles', userId: 'u' }],
  [
    'a slow call that missed its deadline',
    { seconds: 3, code: 'DEADLINE_EXCEEDED' },
    { level: 40, code: 'DEADLINE_EXCEEDED' },
  ],
  [
    'an internal error with its type and message',
    { code: 'INTERNAL', error: new TypeError('inner') },
    { level: 50, msg: 'call failed', err: { type: 'TypeError', message: 'inner' } },
  ],
  [
    'an outage as an error',
    { code: 'UNAVAILABLE', error: new Error('x') },
    { level: 50, code: 'UNAVAILABLE' },
  ],
])('the log has %s', (_, call, line) => {
  expect(logged(call)).toMatchObject([line]);
});

it('counts every lost file, and logs its key at most once per second', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  onTestFinished(() => void vi.useRealTimers());
  const { log, lines } = openLog();
  const metrics = createMetrics();
  const { fileLost } = createObserver(log, metrics);
  for (let i = 0; i < 3; i++) fileLost(ampleCall('u'), parseS3Key(`u_${i}`));
  expect(lines()).toMatchObject([{ level: 50, s3Key: 'u_0', unlogged: 0 }]);
  expect((await metrics.lost.get()).values[0]?.value).toBe(3);
});

it('counts every content mismatch, and logs one per second with the number of unlogged mismatches', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  onTestFinished(() => void vi.useRealTimers());
  const { log, lines } = openLog();
  const metrics = createMetrics();
  const { contentMismatch } = createObserver(log, metrics);
  const object = {
    size: 1,
    etag: 'e',
    isEtagOpaque: false,
    fingerprint: undefined,
    mimeType: 'a/b',
    contentEncoding: 'gzip\r\n"',
    lastModified: new Date(),
  };
  for (let i = 0; i < 300; i++)
    contentMismatch(ampleCall('u'), parseS3Key(`u_${i}`), object, 'Content-Encoding');
  vi.advanceTimersByTime(1_000);
  contentMismatch(ampleCall('u'), parseS3Key('u_next'), { ...object, contentEncoding: '' }, 'bytes');
  expect(lines()).toMatchObject([
    { level: 50, s3Key: 'u_0', contentEncoding: 'gzip\r\n"', unlogged: 0 },
    {
      level: 50,
      s3Key: 'u_next',
      unlogged: 299,
      msg: expect.stringContaining('another writer uses the bucket'),
    },
  ]);
  expect((await metrics.contentMismatches.get()).values[0]?.value).toBe(301);
});

it('a failed step of a call is logged with its error, and without the name of a server that may have answered', () => {
  const { log, lines } = openLog();
  const error = new FileError('DATABASE_UNAVAILABLE', 'the database does not answer; retry');
  createObserver(log, createMetrics()).stepFailed('verify pending uploads', error);
  expect(lines()).toMatchObject([
    {
      level: 40,
      step: 'verify pending uploads',
      err: { message: 'the database does not answer; retry' },
      msg: 'a step of a call failed, and the call continued without it',
    },
  ]);
});

it('a step that fails again for the same reason is logged once in 10 s, and for another reason at once', () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  onTestFinished(() => void vi.useRealTimers());
  const { log, lines } = openLog();
  const { stepFailed } = createObserver(log, createMetrics());
  const outage = (key: string, code = 'ECONNREFUSED') =>
    databaseUnavailable(Object.assign(new Error(key), { code }));
  for (const key of ['a', 'b', 'c']) stepFailed('verify pending uploads', outage(key));
  stepFailed('remove the bytes of a deleted file', outage('d'));
  stepFailed('verify pending uploads', outage('a', '57P03'));
  stepFailed('verify pending uploads', storageUnavailable('no response'));
  vi.advanceTimersByTime(10_000);
  stepFailed('verify pending uploads', outage('e'));
  expect(
    lines().map(({ step, err, unlogged }) => [step, (err as { reason: string }).reason, unlogged]),
  ).toEqual([
    ['verify pending uploads', 'DATABASE_UNAVAILABLE', 0],
    ['remove the bytes of a deleted file', 'DATABASE_UNAVAILABLE', 0],
    ['verify pending uploads', 'DATABASE_UNAVAILABLE', 0],
    ['verify pending uploads', 'STORAGE_UNAVAILABLE', 0],
    ['verify pending uploads', 'DATABASE_UNAVAILABLE', 2],
  ]);
});
