import { setTimeout as sleep } from 'node:timers/promises';
import { S3ServiceException } from '@aws-sdk/client-s3';
import { expect, it } from 'vitest';
import { createBreakers, WAITED_LONG_MS } from '../../src/overload/circuit-breaker.ts';
import { createSend } from '../../src/s3/send.ts';

it.each([
  ['DeleteObject', ['DeleteObject', 'CompleteMultipartUpload'], ['HeadObject', 'ListParts']],
  ['HeadObject', ['HeadObject', 'ListParts', 'DeleteObject'], []],
])('after three %s that hang, S3 is no longer sent %j, but still %j', async (hanging, stopped, others) => {
  const send = createSend((_, run) => run(), createBreakers());
  // The deadline leaves 250 ms more, because a busy machine may start a request late. The breaker ignores a failure
  // after a wait of less than WAITED_LONG_MS.
  const work = () => ({ deadline: Date.now() + WAITED_LONG_MS + 250 });
  const hang = ({ abortSignal }: { abortSignal: AbortSignal }) =>
    sleep(10_000, undefined, { signal: abortSignal });
  for (let i = 0; i < 3; i++) await expect(send(work(), hanging, hang)).rejects.toThrow();
  for (const operation of stopped) {
    await expect(send(work(), operation, async () => 'sent')).rejects.toMatchObject({
      reason: 'STORAGE_UNAVAILABLE',
      cause: { message: 'the request was not sent, because S3 did not answer the last calls' },
    });
  }
  for (const operation of others) {
    expect(await send(work(), operation, async () => 'sent')).toBe('sent');
  }
});

it('a concurrent change of an upload is neither an outage nor a refusal: a retry finds the new state', async () => {
  const breakers = createBreakers(1);
  const send = createSend((_, run) => run(), breakers);
  const gone = new S3ServiceException({
    name: 'NoSuchUpload',
    $fault: 'client',
    $metadata: { httpStatusCode: 404 },
  });
  const work = { deadline: Date.now() + 5_000 };
  await expect(send(work, 'CompleteMultipartUpload', () => Promise.reject(gone))).rejects.toMatchObject({
    reason: 'STORAGE_UNAVAILABLE',
    retryAfterMs: 1_000,
  });
  expect(breakers.writes.open).toBe(false);
});

it('missing credentials open no breaker, because nothing was sent', async () => {
  const breakers = createBreakers(1);
  const send = createSend((_, run) => run(), breakers);
  const error = Object.assign(new Error('no providers'), { name: 'CredentialsProviderError' });
  const work = { deadline: Date.now() + 5_000 };
  await expect(send(work, 'HeadBucket', () => Promise.reject(error))).rejects.toMatchObject({
    reason: 'STORAGE_UNAVAILABLE',
    message: 'the service has no valid credentials for the object storage; retry',
  });
  expect(breakers.reads.open).toBe(false);
});
