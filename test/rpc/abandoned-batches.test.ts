import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { openTestBucket } from '../harness/bucket.ts';
import { failureOf } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { md5, newUser } from '../harness/random.ts';
import { startRefusingS3 } from '../harness/refusing-s3.ts';
import { PROTOCOLS, startTestService } from '../harness/service.ts';

const fixture = forAllTests(async () => {
  await using stack = new AsyncDisposableStack();
  const bucket = await openTestBucket();
  const s3 = stack.use(await startRefusingS3(bucket.endpoint));
  const service = stack.use(await startTestService({}, { ...bucket, endpoint: s3.endpoint }));
  const owned = stack.move();
  return { s3, service, [Symbol.asyncDispose]: () => owned.disposeAsync() };
});

const FILES = 500;
/** With 32 requests at once, S3 needs 5 s for the files. */
const AT_ONCE = 32;
const HEAD_MS = 300;
/** Not the answer of the store: if it needs long for it, the service finds that S3 is down, and ends its calls at once. */
const NO_OBJECT = { status: 404, code: 'NoSuchKey' };

const requests = Array.from({ length: FILES }, (_, i) => ({
  filename: `${i}.txt`,
  mimeType: 'text/plain',
  md5: md5(`${i}`),
}));

describe.each(PROTOCOLS)(
  'over %s, when the client disconnects, S3 gets no further request of',
  (protocol) => {
    it.each(['BatchGetFiles', 'BatchCreatePresignedUploads', 'ListFiles'] as const)('%s', async (method) => {
      const { service, s3 } = fixture;
      const user = newUser();
      const files = service.as(user, protocol);
      // The service also sends requests of its readiness check.
      const isOurs = ({ path }: { path: string }) => path.includes(`/${user}_`);
      const asked = () => s3.requests.filter(isOurs).length;
      const { results } = await files.batchCreatePresignedUploads({ requests });
      const s3Keys = results.map(({ result }) => (result.case === 'response' ? result.value.s3Key : ''));
      s3.refuse = (request) => (isOurs(request) ? sleep(HEAD_MS, NO_OBJECT) : undefined);
      const disconnect = new AbortController();
      const options = { signal: disconnect.signal, timeoutMs: 30_000 };
      const calls = {
        BatchGetFiles: () => files.batchGetFiles({ s3Keys }, options),
        BatchCreatePresignedUploads: () => files.batchCreatePresignedUploads({ requests }, options),
        ListFiles: () => files.listFiles({}, options),
      };
      const failure = failureOf(calls[method]());
      // S3 has answered about some of the files then.
      await expect.poll(asked, { timeout: 20_000 }).toBeGreaterThan(AT_ONCE);
      disconnect.abort();
      expect(await failure).toMatchObject({ code: 'Canceled' });
      // The requests that have begun end, and the requests that wait for a socket.
      for (let before = 0; before !== asked(); await sleep(3 * HEAD_MS)) before = asked();
      expect(asked()).toBeLessThan(FILES / 2);
      s3.refuse = () => undefined;
    });
  },
);
