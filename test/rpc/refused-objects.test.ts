/** S3 refuses requests about some objects and answers all others: the other files must not suffer. */
import { describe, expect, it } from 'vitest';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import { UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { openTestBucket } from '../harness/bucket.ts';
import { failureOf } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { cutFile, putParts } from '../harness/parts.ts';
import { expireVerifications, passTime } from '../harness/pass-time.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { type RefusedRequest, type RefusingAnswer, startRefusingS3 } from '../harness/refusing-s3.ts';
import { startTestService } from '../harness/service.ts';

const DAY = 86_400;
const PART = 5 * 1024 ** 2;

/** More files than one list verifies at the same time. */
const REFUSED_FILES = 40;

const proxied = forAllTests(async () => {
  await using stack = new AsyncDisposableStack();
  const bucket = await openTestBucket();
  const proxy = stack.use(await startRefusingS3(bucket.endpoint));
  const service = stack.use(
    await startTestService(
      {
        S3_ENDPOINT: proxy.endpoint,
        S3_PUBLIC_ENDPOINT: bucket.endpoint,
        SWEEP_INTERVAL_SECONDS: '3600',
        MULTIPART_PART_BYTES: String(PART),
      },
      bucket,
    ),
  );
  const opened = stack.move();
  return { proxy, service, [Symbol.asyncDispose]: () => opened.disposeAsync() };
});

const file = (name: string) => ({ filename: `${name}.txt`, mimeType: 'text/plain', md5: md5(name) });

/** Until a scanner has tagged an object, a policy of the bucket denies reading it. */
const untagged = ({ method, path }: RefusedRequest): RefusingAnswer | undefined =>
  /untagged/.test(path) && (method === 'HEAD' || method === 'GET')
    ? { status: 403, code: 'AccessDenied' }
    : undefined;

/** A server that stores an object in a file whose name is the key refuses long keys. */
const tooLong = ({ path }: RefusedRequest): RefusingAnswer | undefined =>
  /too-long/.test(path) ? { status: 400, code: 'KeyTooLongError' } : undefined;

async function rowsOf(user: string) {
  const { pool } = proxied.service;
  return (await pool.query('select state, lost from files where user_id = $1', [user])).rows;
}

async function sweepAfter(user: string, seconds: number) {
  await passTime(proxied.service.pool, seconds, user);
  await proxied.service.app.sweeper.sweep();
}

describe.each([
  ['untagged', untagged],
  ['too-long', tooLong],
] as const)('40 pending uploads whose objects S3 refuses (%s)', (name, refuse) => {
  it('do not hide a fresh upload from the next list', async () => {
    const files = proxied.service.as(newUser());
    const fresh = await files.createPresignedUpload(file('fresh'));
    for (let i = 0; i < REFUSED_FILES; i++) await files.createPresignedUpload(file(`${name}-${i}`));
    await put(fresh, 'fresh');
    proxied.proxy.refuse = refuse;
    proxied.proxy.requests = [];
    const { files: listed } = await files.listFiles({}, { timeoutMs: 20_000 });
    expect(listed).toMatchObject([{ filename: 'fresh.txt' }]);
    // One GET explains all answers to HEADs with the status 403.
    const gets = proxied.proxy.requests.filter(({ method, path }) => method === 'GET' && path.includes(name));
    if (name === 'untagged') expect(gets.length).toBeLessThan(5);
  });
});

describe('an upload whose reading a policy denies', () => {
  it('is PENDING, and READY when the policy allows it', async () => {
    const files = proxied.service.as(newUser());
    const answer = await files.createPresignedUpload(file('untagged'));
    await put(answer, 'untagged');
    proxied.proxy.refuse = untagged;
    const { s3Key } = answer;
    expect((await files.getFile({ s3Key })).file?.state).toBe(FileState.PENDING);
    expect((await files.listFiles({})).files).toEqual([]);
    expect((await files.createPresignedUpload(file('untagged'))).type).toBe(UploadType.NEW);
    expect(await failureOf(files.createPresignedDownload({ s3Key }))).toMatchObject({
      reason: 'UPLOAD_INCOMPLETE',
    });
    const readiness = await (await fetch(`${proxied.service.httpUrl}/readyz`)).json();
    expect(readiness).toMatchObject({
      storage: true,
      refusals: [expect.stringMatching(/^S3 refused HeadObject with 403 AccessDenied: /)],
    });

    proxied.proxy.refuse = () => undefined;
    expect((await files.getFile({ s3Key })).file?.state).toBe(FileState.READY);
    const after = await (await fetch(`${proxied.service.httpUrl}/readyz`)).json();
    expect(after).not.toHaveProperty('refusals');
  });

  it('keeps its row and its bytes after the write window', async () => {
    const user = newUser();
    const answer = await proxied.service.as(user).createPresignedUpload(file('untagged'));
    await put(answer, 'untagged');
    proxied.proxy.refuse = untagged;
    for (let sweeps = 0; sweeps < 2; sweeps++) await sweepAfter(user, 30 * DAY);
    expect(await rowsOf(user)).toEqual([{ state: 'pending', lost: false }]);
    expect(await proxied.service.bucket.keys(user)).toEqual([answer.s3Key]);
  });

  it('in parts stays complete: no call asks for its parts again', async () => {
    const files = proxied.service.as(newUser());
    const film = cutFile('untagged.mp4', [PART, 10]);
    const { s3Key } = await files.createMultipartUpload(film);
    await putParts(files, s3Key, film, [1, 2]);
    proxied.proxy.refuse = untagged;
    const refused = { code: 'FailedPrecondition', reason: 'STORAGE_REFUSED', retries: false };
    const complete = () => files.completeMultipartUpload({ s3Key }, { timeoutMs: 20_000 });
    // The policy denies GET, so S3 also refuses to list the parts in this test.
    proxied.proxy.refuse = (request) => (request.query.has('uploadId') ? undefined : untagged(request));
    expect(await failureOf(complete())).toMatchObject(refused);
    expect(await failureOf(complete())).toMatchObject(refused);
    // Swift still lists the parts of a completed upload, so the call need not ask for the object there.
    const again = await files
      .createMultipartUpload(film)
      .catch((error: unknown) => failureOf(Promise.reject(error)));
    if ('missingPartNumbers' in again) expect(again.missingPartNumbers).toEqual([]);
    else expect(again).toMatchObject(refused);
    proxied.proxy.refuse = () => undefined;
    expect((await complete()).file?.state).toBe(FileState.READY);
  });
});

it('a READY file whose reading a policy denies stays READY, and no create says EXISTING without seeing it', async () => {
  const user = newUser();
  const files = proxied.service.as(user);
  const answer = await files.createPresignedUpload(file('untagged'));
  await put(answer, 'untagged');
  proxied.proxy.refuse = () => undefined;
  await files.listFiles({});
  proxied.proxy.refuse = untagged;
  await expireVerifications(proxied.service.pool, user);
  const refused = { code: 'FailedPrecondition', reason: 'STORAGE_REFUSED', retries: false };
  expect(await failureOf(files.createPresignedUpload(file('untagged')))).toMatchObject(refused);
  expect(await failureOf(files.getFile({ s3Key: answer.s3Key }))).toMatchObject(refused);
  expect((await files.listFiles({})).files).toHaveLength(1);
});

describe('a key that the server does not accept', () => {
  it('loses its row after the write window', async () => {
    const user = newUser();
    await proxied.service.as(user).createPresignedUpload(file('too-long'));
    proxied.proxy.refuse = tooLong;
    await sweepAfter(user, 31);
    expect(await rowsOf(user)).toEqual([{ state: 'pending', lost: false }]);
    for (let sweeps = 0; sweeps < 2; sweeps++) await sweepAfter(user, 30 * DAY);
    expect(await rowsOf(user)).toEqual([]);
  });

  it('loses its tombstone after the write window', async () => {
    const user = newUser();
    const files = proxied.service.as(user);
    const { s3Key } = await files.createPresignedUpload(file('too-long'));
    proxied.proxy.refuse = tooLong;
    await files.deleteFile({ s3Key });
    await sweepAfter(user, 30 * DAY);
    expect(await rowsOf(user)).toEqual([]);
  });

  it('keeps row and tombstone while S3 refuses the same of the bucket', async () => {
    const user = newUser();
    const files = proxied.service.as(user);
    await files.createPresignedUpload(file('too-long-1'));
    const { s3Key } = await files.createPresignedUpload(file('too-long-2'));
    proxied.proxy.refuse = () => ({ status: 400, code: 'UnknownToTheService' });
    await files.deleteFile({ s3Key });
    for (let sweeps = 0; sweeps < 2; sweeps++) await sweepAfter(user, 30 * DAY);
    expect((await rowsOf(user)).map(({ state }) => state).sort()).toEqual(['deleted', 'pending']);
    proxied.proxy.refuse = () => undefined;
  });
});

describe('a 404 that is not about the object', () => {
  it.each(['NoSuchBucket', 'XAdminUserNotFound', '<html>'])(
    '(%s) loses no READY file and purges no upload',
    async (code) => {
      const user = newUser();
      const files = proxied.service.as(user);
      proxied.proxy.refuse = () => undefined;
      const answer = await files.createPresignedUpload(file(`ready ${code}`));
      await put(answer, `ready ${code}`);
      await files.listFiles({});
      await files.createPresignedUpload(file(`pending ${code}`));
      proxied.proxy.refuse = () => ({ status: 404, code });
      await expireVerifications(proxied.service.pool, user);
      expect(await failureOf(files.getFile({ s3Key: answer.s3Key }))).toMatchObject({
        reason: 'STORAGE_REFUSED',
      });
      for (let sweeps = 0; sweeps < 2; sweeps++) await sweepAfter(user, 30 * DAY);
      const states = (await rowsOf(user)).map(({ state }) => state).sort();
      expect(states).toEqual(['pending', 'ready']);
      proxied.proxy.refuse = () => undefined;
    },
  );
});

const isListOfParts = ({ method, query }: RefusedRequest) => method === 'GET' && query.has('uploadId');

/** The proxy cannot pass on the body that OpenStack Swift sends with a 404 to a HEAD. */
const noObjectOf = (filename: string) => (request: RefusedRequest) =>
  request.method === 'HEAD' && request.path.endsWith(filename)
    ? { status: 404, code: 'NoSuchKey' }
    : undefined;

it('a create in parts ends before its deadline if S3 knows none of the multipart uploads that it begins', async () => {
  const files = proxied.service.as(newUser());
  const film = cutFile('unknown.mp4', [PART, 10]);
  const noObject = noObjectOf('unknown.mp4');
  proxied.proxy.refuse = noObject;
  await files.createMultipartUpload(film);
  proxied.proxy.refuse = (request) =>
    isListOfParts(request) ? { status: 404, code: 'NoSuchUpload' } : noObject(request);
  proxied.proxy.requests = [];
  expect(await failureOf(files.createMultipartUpload(film))).toMatchObject({
    reason: 'STORAGE_UNAVAILABLE',
    retries: true,
  });
  expect(proxied.proxy.requests.filter(isListOfParts)).toHaveLength(2);
  proxied.proxy.refuse = noObject;
  expect((await files.createMultipartUpload(film)).missingPartNumbers).toEqual([1, 2]);
});

it('a create in parts begins another upload if S3 still lists an upload that it does not know any more', async () => {
  const files = proxied.service.as(newUser());
  const film = cutFile('listed.mp4', [PART, 10]);
  const noObject = noObjectOf('listed.mp4');
  proxied.proxy.refuse = noObject;
  const { s3Key } = await files.createMultipartUpload(film);
  const [part] = (await files.createPresignedParts({ s3Key, partNumbers: [1] })).parts;
  const lost = new URL(part?.presignedUrl ?? '').searchParams.get('uploadId');
  proxied.proxy.refuse = (request) =>
    isListOfParts(request) && request.query.get('uploadId') === lost
      ? { status: 404, code: 'NoSuchUpload' }
      : noObject(request);
  expect((await files.createMultipartUpload(film)).missingPartNumbers).toEqual([1, 2]);
  const [again] = (await files.createPresignedParts({ s3Key, partNumbers: [1] })).parts;
  expect(new URL(again?.presignedUrl ?? '').searchParams.get('uploadId')).not.toBe(lost);
});
