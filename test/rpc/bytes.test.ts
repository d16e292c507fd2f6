import { describe, expect, it } from 'vitest';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import { UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { failureOf } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { total } from '../harness/metrics.ts';
import { expireVerifications } from '../harness/pass-time.ts';
import { put, putTo } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';

const service = forAllTests(() => startTestService());

const document = (bytes: string) => ({
  filename: 'document.pdf',
  mimeType: 'application/pdf',
  md5: md5(bytes),
});

describe('a file', () => {
  const USER = '651eb6e11d156e0d7a42c59d';
  const KEY = '651eb6e11d156e0d7a42c59d_document.pdf';
  const BYTES = 'the document';

  it('can be created, uploaded, listed, downloaded and deleted', async () => {
    const files = service.as(USER);
    const before = Date.now();
    const answer = await files.createPresignedUpload({ ...document(BYTES), md5: md5(BYTES, 'hex') });
    expect(answer).toMatchObject({
      type: UploadType.NEW,
      s3Key: KEY,
      md5: md5(BYTES),
      requiredHeaders: { 'Content-Type': 'application/pdf', 'Content-MD5': md5(BYTES) },
    });
    expect(Object.keys(answer.requiredHeaders)).toHaveLength(2);
    const lifeSeconds = Number(answer.expireTime?.seconds) - before / 1_000;
    expect(lifeSeconds).toBeGreaterThan(3_598);
    expect(lifeSeconds).toBeLessThan(3_601);

    expect((await files.listFiles({})).files).toEqual([]);
    expect((await files.getFile({ s3Key: KEY })).file).toMatchObject({ state: FileState.PENDING, etag: '' });
    expect(await put(answer, BYTES)).toEqual({ status: 200, body: '' });

    const { files: listed } = await files.listFiles({});
    expect(listed).toMatchObject([
      {
        s3Key: KEY,
        filename: 'document.pdf',
        size: BigInt(BYTES.length),
        mimeType: 'application/pdf',
        md5: md5(BYTES),
        etag: md5(BYTES, 'hex'),
        state: FileState.READY,
      },
    ]);
    expect(Math.abs(Number(listed[0]?.lastModified?.seconds) - before / 1_000)).toBeLessThan(5);

    const again = await files.createPresignedUpload(document(BYTES));
    expect(again).toMatchObject({ type: UploadType.EXISTING, s3Key: KEY, md5: md5(BYTES), presignedUrl: '' });
    expect(again.requiredHeaders).toEqual({});

    const download = await files.createPresignedDownload({ s3Key: KEY });
    const response = await fetch(download.presignedUrl);
    expect(response.headers.get('content-type')).toBe('application/pdf');
    expect(response.headers.get('content-disposition')).toMatch(/^attachment; filename="document.pdf"/);
    expect(await response.text()).toBe(BYTES);
    const range = await fetch(download.presignedUrl, { headers: { range: 'bytes=4-6' } });
    expect([range.status, await range.text()]).toEqual([206, 'doc']);

    await files.deleteFile({ s3Key: KEY });
    expect((await files.listFiles({})).files).toEqual([]);
    expect(await service.bucket.keys()).toEqual([]);
    expect(await failureOf(files.deleteFile({ s3Key: KEY }))).toMatchObject({ reason: 'FILE_NOT_FOUND' });
  });
});

describe('a PUT that S3 refuses leaves no object and no listed file', () => {
  const BYTES = 'right bytes';

  it.each<[string, (url: string, headers: Record<string, string>) => ReturnType<typeof putTo>]>([
    ['other bytes', (url, headers) => putTo(url, headers, 'wrong bytes')],
    ['more bytes', (url, headers) => putTo(url, { ...headers, 'Content-Length': '12' }, `${BYTES}!`)],
    [
      'another Content-MD5',
      (url, headers) => putTo(url, { ...headers, 'Content-MD5': md5('wrong bytes') }, 'wrong bytes'),
    ],
    ['no digest at all', (url, headers) => putTo(url, without(headers, 'Content-MD5'), BYTES)],
    [
      'another Content-Type',
      (url, headers) => putTo(url, { ...headers, 'Content-Type': 'text/html' }, BYTES),
    ],
    ['no Content-Type', (url, headers) => putTo(url, without(headers, 'Content-Type'), BYTES)],
    [
      'a tampered signature',
      (url, headers) => putTo(url.replace(/(X-Amz-Signature=)[0-9a-f]{4}/, '$10000'), headers, BYTES),
    ],
    ['another key', (url, headers) => putTo(url.replace('document', 'documenT'), headers, BYTES)],
    ['a longer life', (url, headers) => putTo(url.replace('Expires=3600', 'Expires=3601'), headers, BYTES)],
  ])('%s', async (_, send) => {
    const user = newUser();
    const files = service.as(user);
    const answer = await files.createPresignedUpload({ ...document(BYTES), size: BigInt(BYTES.length) });
    const { status } = await send(answer.presignedUrl, answer.requiredHeaders);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);

    expect((await files.listFiles({})).files).toEqual([]);
    expect((await service.bucket.keys()).filter((key) => key.startsWith(user))).toEqual([]);
    expect((await files.createPresignedUpload(document(BYTES))).type).toBe(UploadType.NEW);
  });

  it('an expired URL', async () => {
    await using shortLived = await startTestService({ PRESIGN_TTL_SECONDS: '1' });
    const files = shortLived.as(newUser());
    const answer = await files.createPresignedUpload(document(BYTES));
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(await put(answer, BYTES)).toMatchObject({ status: 403 });
    expect((await files.listFiles({})).files).toEqual([]);
    expect(await shortLived.bucket.keys()).toEqual([]);
    const fresh = await files.createPresignedUpload(document(BYTES));
    expect(fresh).toMatchObject({ type: UploadType.NEW, s3Key: answer.s3Key });
    expect(await put(fresh, BYTES)).toMatchObject({ status: 200 });
  });

  function without(headers: Record<string, string>, name: string) {
    return Object.fromEntries(Object.entries(headers).filter(([header]) => header !== name));
  }
});

it('presigned URLs contain no checksum of an empty body', async () => {
  const files = service.as(newUser());
  const answer = await files.createPresignedUpload(document('checksum'));
  await put(answer, 'checksum');
  const { presignedUrl } = await files.createPresignedDownload({ s3Key: answer.s3Key });
  for (const url of [answer.presignedUrl, presignedUrl]) {
    expect(url).not.toMatch(/x-amz-checksum|x-amz-sdk-checksum|AAAAAA/i);
  }
  expect(answer.presignedUrl).toMatch(/X-Amz-SignedHeaders=content-md5%3Bcontent-type%3Bhost/);
});

describe('a repeated create', () => {
  it('before the PUT returns the same key and a new URL', async () => {
    const user = newUser();
    const files = service.as(user);
    const first = await files.createPresignedUpload(document('again'));
    const second = await files.createPresignedUpload(document('again'));
    expect(second).toMatchObject({ type: UploadType.NEW, s3Key: first.s3Key });
    const { rowCount } = await service.pool.query('select from files where user_id = $1', [user]);
    expect(rowCount).toBe(1);
    expect(await put(second, 'again')).toMatchObject({ status: 200 });
  });

  it('updates the filename and type of a pending upload, but not of a READY file', async () => {
    const files = service.as(newUser());
    const first = await files.createPresignedUpload(document('renamed'));
    const second = await files.createPresignedUpload({
      filename: 'new name.txt',
      mimeType: 'text/plain',
      md5: md5('renamed'),
    });
    expect(second.s3Key).toBe(first.s3Key);
    expect(await put(second, 'renamed')).toMatchObject({ status: 200 });
    const third = await files.createPresignedUpload(document('renamed'));
    expect(third.type).toBe(UploadType.EXISTING);
    expect((await files.listFiles({})).files).toMatchObject([
      { filename: 'new name.txt', mimeType: 'text/plain' },
    ]);
  });

  it('returns EXISTING right after the PUT, without a list in between', async () => {
    const files = service.as(newUser());
    const answer = await files.createPresignedUpload(document('straight'));
    await put(answer, 'straight');
    expect(await files.createPresignedUpload(document('straight'))).toMatchObject({
      type: UploadType.EXISTING,
      s3Key: answer.s3Key,
    });
  });

  it('sent fifty times at once creates one row and one key', async () => {
    const user = newUser();
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => service.as(user).createPresignedUpload(document('fifty'))),
    );
    expect(new Set(answers.map(({ s3Key }) => s3Key))).toEqual(new Set([`${user}_document.pdf`]));
    const { rowCount } = await service.pool.query('select from files where user_id = $1', [user]);
    expect(rowCount).toBe(1);
  });

  it('writes nothing to Postgres while the verification is fresh', async () => {
    const user = newUser();
    const files = service.as(user);
    await put(await files.createPresignedUpload(document('trusted')), 'trusted');
    await files.listFiles({});
    const version = () =>
      service.pool.query('select xmin::text, xmax::text, ctid::text from files where user_id = $1', [user]);
    const { rows: before } = await version();
    expect((await files.createPresignedUpload(document('trusted'))).type).toBe(UploadType.EXISTING);
    expect((await version()).rows).toEqual(before);
  });
});

describe('an object that was removed or replaced in the bucket', () => {
  it('makes a create return NEW under the same key, and never EXISTING', async () => {
    const user = newUser();
    const files = service.as(user);
    const answer = await files.createPresignedUpload(document('vanished'));
    await put(answer, 'vanished');
    await files.listFiles({});
    await service.bucket.remove(answer.s3Key);
    await expireVerifications(service.pool, user);
    const lost = await total(service.httpUrl, 'files_lost_total');

    const again = await files.createPresignedUpload(document('vanished'));
    expect(again).toMatchObject({ type: UploadType.NEW, s3Key: answer.s3Key });
    expect(await total(service.httpUrl, 'files_lost_total')).toBe(lost + 1);
    expect((await files.listFiles({})).files).toEqual([]);
    await put(again, 'vanished');
    expect((await files.listFiles({})).files).toHaveLength(1);
  });

  it('makes GetFile and downloads return NOT_FOUND, also for a repeated call', async () => {
    const user = newUser();
    const files = service.as(user);
    const answer = await files.createPresignedUpload(document('gone'));
    await put(answer, 'gone');
    await files.listFiles({});
    await service.bucket.remove(answer.s3Key);
    await expireVerifications(service.pool, user);
    for (let i = 0; i < 2; i++) {
      expect(await failureOf(files.createPresignedDownload({ s3Key: answer.s3Key }))).toMatchObject({
        code: 'NotFound',
        reason: 'FILE_NOT_FOUND',
      });
      expect(await failureOf(files.getFile({ s3Key: answer.s3Key }))).toMatchObject({ code: 'NotFound' });
    }
    expect((await files.listFiles({})).files).toEqual([]);
  });

  it('makes all calls report CONTENT_MISMATCH if the bytes differ', async () => {
    const files = service.as(newUser());
    const answer = await files.createPresignedUpload(document('mine'));
    await service.bucket.write(answer.s3Key, 'theirs');
    const mismatch = { code: 'FailedPrecondition', reason: 'CONTENT_MISMATCH' };
    expect(await failureOf(files.getFile({ s3Key: answer.s3Key }))).toMatchObject(mismatch);
    expect(await failureOf(files.createPresignedDownload({ s3Key: answer.s3Key }))).toMatchObject(mismatch);
    expect((await files.listFiles({})).files).toEqual([]);

    const again = await files.createPresignedUpload(document('mine'));
    expect(again).toMatchObject({ type: UploadType.NEW, s3Key: answer.s3Key });
    await put(again, 'mine');
    expect((await files.getFile({ s3Key: answer.s3Key })).file?.state).toBe(FileState.READY);
  });
});

describe('a pending upload', () => {
  it('cannot be downloaded, and the error has the reason UPLOAD_INCOMPLETE', async () => {
    const files = service.as(newUser());
    const { s3Key } = await files.createPresignedUpload(document('pending'));
    expect(await failureOf(files.createPresignedDownload({ s3Key }))).toMatchObject({
      code: 'FailedPrecondition',
      reason: 'UPLOAD_INCOMPLETE',
      metadata: { s3_key: s3Key },
    });
  });

  it('is cancelled by a delete, and the object of a later PUT is removed', async () => {
    const user = newUser();
    const files = service.as(user);
    const answer = await files.createPresignedUpload(document('cancelled'));
    await files.deleteFile({ s3Key: answer.s3Key });
    expect(await failureOf(files.getFile({ s3Key: answer.s3Key }))).toMatchObject({ code: 'NotFound' });
    expect(await put(answer, 'cancelled')).toMatchObject({ status: 200 });
    expect((await files.listFiles({})).files).toEqual([]);
    // The sweeper would handle the tombstone after half a minute. The test makes the tombstone due now.
    await service.pool.query('update files set due_at = now() where user_id = $1', [user]);
    await service.app.sweeper.sweep();
    expect((await service.bucket.keys()).filter((key) => key.startsWith(user))).toEqual([]);
  });
});

it('a file that is uploaded again after its delete gets a new key, which the old tombstone cannot remove', async () => {
  const user = newUser();
  const files = service.as(user);
  const first = await files.createPresignedUpload(document('twice'));
  await put(first, 'twice');
  await files.deleteFile({ s3Key: first.s3Key });

  const second = await files.createPresignedUpload(document('twice'));
  expect(second.type).toBe(UploadType.NEW);
  expect(second.s3Key).not.toBe(first.s3Key);
  expect(second.s3Key).toMatch(new RegExp(`^${user}_document-[0-9a-z]{8}\\.pdf$`));
  await put(second, 'twice');
  // Repeats the PUT with the old URL, and makes the old tombstone due.
  expect(await put(first, 'twice')).toMatchObject({ status: 200 });
  await service.pool.query('update files set due_at = now() where user_id = $1 and state = $2', [
    user,
    'deleted',
  ]);
  await service.app.sweeper.sweep();
  expect((await files.listFiles({})).files.map(({ s3Key }) => s3Key)).toEqual([second.s3Key]);
  expect((await service.bucket.keys()).filter((key) => key.startsWith(user))).toEqual([second.s3Key]);
});
