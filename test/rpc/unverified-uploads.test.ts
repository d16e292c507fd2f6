/** A first page verifies the pending uploads of its user, and says how many it could not verify. */
import { afterEach, expect, it, vi } from 'vitest';
import { openTestBucket } from '../harness/bucket.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { type RefusedRequest, type RefusingAnswer, startRefusingS3 } from '../harness/refusing-s3.ts';
import { startTestService, type TestService } from '../harness/service.ts';

const proxied = forAllTests(async () => {
  await using stack = new AsyncDisposableStack();
  const bucket = await openTestBucket();
  const proxy = stack.use(await startRefusingS3(bucket.endpoint));
  const environment = {
    S3_ENDPOINT: proxy.endpoint,
    S3_PUBLIC_ENDPOINT: bucket.endpoint,
    SWEEP_INTERVAL_SECONDS: '3600',
  };
  const service = stack.use(await startTestService(environment, bucket));
  const opened = stack.move();
  return { proxy, service, [Symbol.asyncDispose]: () => opened.disposeAsync() };
});

afterEach(() => {
  proxied.proxy.refuse = () => undefined;
});

vi.setConfig({ testTimeout: 60_000 });

/** The machine runs other tests at the same time, so the calls get the longest deadline that the service allows. */
const PATIENT = { timeoutMs: 30_000 };

const file = (content: string) => ({ filename: `${content}.txt`, mimeType: 'text/plain', md5: md5(content) });

const contents = (count: number) => Array.from({ length: count }, (_, i) => `content-${i}`);

async function uploadMany(files: ReturnType<TestService['as']>, count: number): Promise<void> {
  const all = contents(count);
  const { results } = await files.batchCreatePresignedUploads({ requests: all.map(file) }, PATIENT);
  await Promise.all(
    results.map(async ({ result }, i) => {
      if (result.case === 'response') await put(result.value, all[i] ?? '');
    }),
  );
}

/** S3's answer to the HEAD of an object of `contents`. */
function storedObject({ path }: RefusedRequest): RefusingAnswer {
  const content = /content-\d+/.exec(path)?.[0] ?? '';
  const headers = {
    etag: `"${md5(content, 'hex')}"`,
    'content-length': String(content.length),
    'content-type': 'text/plain',
    'last-modified': new Date().toUTCString(),
  };
  return { status: 200, code: '', headers };
}

// The proxy answers the HEADs itself, because a slow store needs longer for 900 of them than the call has.
it('a list contains 900 pending uploads whose bytes have just arrived', async () => {
  const { proxy, service } = proxied;
  const user = newUser();
  const files = service.as(user);
  await files.batchCreatePresignedUploads({ requests: contents(900).map(file) }, PATIENT);
  const isHead = ({ method, path }: RefusedRequest) => method === 'HEAD' && path.includes(`/${user}_`);
  proxy.refuse = (request) => (isHead(request) ? storedObject(request) : undefined);
  const { files: listed, unverifiedUploads } = await files.listFiles({ pageSize: 1_000 }, PATIENT);
  expect({ listed: listed.length, unverifiedUploads }).toEqual({ listed: 900, unverifiedUploads: 0 });
});

it('a list and a batch say how many uploads S3 did not tell about', async () => {
  const { proxy, service } = proxied;
  const files = service.as(newUser());
  await uploadMany(files, 3);
  const { files: listed } = await files.listFiles({ pageSize: 1 });
  const more = await files.batchCreatePresignedUploads({ requests: ['a', 'b'].map(file) });
  const keys = more.results.flatMap(({ result }) => (result.case === 'response' ? result.value.s3Key : []));
  // A policy of the bucket denies reading the objects.
  proxy.refuse = ({ method }): RefusingAnswer | undefined =>
    method === 'HEAD' || method === 'GET' ? { status: 403, code: 'AccessDenied' } : undefined;
  expect(await files.listFiles({}, PATIENT)).toMatchObject({
    files: { length: 3 },
    unverifiedUploads: 2,
  });
  const s3Keys = [listed[0]?.s3Key ?? '', ...keys];
  expect(await files.batchGetFiles({ s3Keys }, PATIENT)).toMatchObject({
    files: s3Keys.map((s3Key) => ({ s3Key })),
    unverifiedUploads: 2,
  });
});

// The last test, because the circuit breaker may open when S3 does not answer.
it('a list says how many uploads its time was too short for', async () => {
  const { proxy, service } = proxied;
  const files = service.as(newUser());
  await uploadMany(files, 100);
  let heads = 0;
  const hanging = Promise.withResolvers<undefined>();
  proxy.refuse = ({ method }) => (method === 'HEAD' && ++heads > 10 ? hanging.promise : undefined);
  const { files: listed, unverifiedUploads } = await files.listFiles({}, { timeoutMs: 1_500 });
  hanging.resolve(undefined);
  expect(unverifiedUploads).toBeGreaterThan(0);
  // A verification whose time is up may still have made its file READY.
  expect(listed.length + unverifiedUploads).toBeGreaterThanOrEqual(100);
});
