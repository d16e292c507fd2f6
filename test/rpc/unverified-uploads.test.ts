/** A first page verifies the pending uploads of its user, and says how many it could not verify. */
import { afterEach, expect, it, vi } from 'vitest';
import { openTestBucket } from '../harness/bucket.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { type RefusingAnswer, startRefusingS3 } from '../harness/refusing-s3.ts';
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

vi.setConfig({ testTimeout: 180_000 });

/** The machine runs other tests at the same time, so the calls get the longest deadline that the service allows. */
const PATIENT = { timeoutMs: 30_000 };

/** Half of the time in which a list with this deadline asks S3. */
const FAST_MS = 10_000;

const file = (content: string) => ({ filename: `${content}.txt`, mimeType: 'text/plain', md5: md5(content) });

async function uploadMany(files: ReturnType<TestService['as']>, count: number): Promise<void> {
  const contents = Array.from({ length: count }, (_, i) => `content ${i}`);
  const { results } = await files.batchCreatePresignedUploads({ requests: contents.map(file) }, PATIENT);
  await Promise.all(
    results.map(async ({ result }, i) => {
      if (result.case === 'response') await put(result.value, contents[i] ?? '');
    }),
  );
}

/** Adds pending rows whose bytes were never sent. The newest is `<count>.txt`. */
async function addPending({ pool }: TestService, count: number): Promise<string> {
  const user = newUser();
  await pool.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, url_expire_at, due_at)
     select $1, $1 || '_' || n, 'pending', n || '.txt', 'text/plain', decode(md5($1 || n), 'hex'), now(), now() + interval '1 h'
     from generate_series(1, $2::int) n`,
    [user, count],
  );
  return user;
}

async function timed<Result>(run: () => Promise<Result>): Promise<{ result: Result; ms: number }> {
  const startMs = performance.now();
  const result = await run();
  return { result, ms: performance.now() - startMs };
}

it('a list contains 900 pending uploads whose bytes have just arrived', async () => {
  const [few, files] = [proxied.service.as(newUser()), proxied.service.as(newUser())];
  await uploadMany(few, 100);
  const { ms } = await timed(() => few.listFiles({}, PATIENT));
  await uploadMany(files, 900);
  const list = async () => {
    const { files: listed, unverifiedUploads } = await files.listFiles({ pageSize: 1_000 }, PATIENT);
    return { listed: listed.length, unverifiedUploads };
  };
  let page = await list();
  if (9 * ms < FAST_MS) expect(page).toEqual({ listed: 900, unverifiedUploads: 0 });
  // A store that is slower than the call says how many files are left, and a later list has them.
  while (page.unverifiedUploads > 0) {
    expect(page.listed + page.unverifiedUploads).toBeGreaterThanOrEqual(900);
    const { listed } = page;
    page = await list();
    expect(page.listed).toBeGreaterThan(listed);
  }
  expect(page.listed).toBe(900);
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

it('a list with more pending uploads than it verifies says how many are left at least', async () => {
  // Not through the proxy, which cannot pass on the body that OpenStack Swift sends with a 404 to a HEAD.
  await using service = await startTestService();
  const [few, user] = [await addPending(service, 200), await addPending(service, 2_010)];
  const { result: all, ms } = await timed(() => service.as(few).listFiles({}, PATIENT));
  expect(all.unverifiedUploads).toBe(0);
  const { unverifiedUploads } = await service.as(user).listFiles({}, PATIENT);
  expect(unverifiedUploads).toBeGreaterThanOrEqual(1);
  // A store that is slower than the call leaves more.
  if (10 * ms < FAST_MS) expect(unverifiedUploads).toBe(1);
  const one = await service.as(user).listFiles({ filenamePrefix: '2010' }, PATIENT);
  expect(one.unverifiedUploads).toBe(0);
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
