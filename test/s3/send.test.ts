import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { createBreakers, WAITED_LONG_MS } from '../../src/overload/circuit-breaker.ts';
import { createSend } from '../../src/s3/send.ts';

it.each([
  ['writes', 'DeleteObject', 'CompleteMultipartUpload', 'HeadObject', 'ListParts'],
  ['reads', 'HeadObject', 'ListParts', 'DeleteObject', 'CreateMultipartUpload'],
])('S3 %s that hang stop each other, and not the other kind', async (_, hanging, alike, ...others) => {
  const send = createSend((_, run) => run(), createBreakers());
  const work = () => ({ deadline: Date.now() + WAITED_LONG_MS });
  const hang = ({ abortSignal }: { abortSignal: AbortSignal }) =>
    sleep(10_000, undefined, { signal: abortSignal });
  for (let i = 0; i < 3; i++) await expect(send(work(), hanging, hang)).rejects.toThrow();
  await expect(send(work(), alike, async () => 'sent')).rejects.toMatchObject({
    reason: 'STORAGE_UNAVAILABLE',
    cause: { message: 'the request was not sent, because S3 did not answer the last calls' },
  });
  for (const operation of others) {
    expect(await send(work(), operation, async () => 'sent')).toBe('sent');
  }
});
