/**
 * A writer with the credentials of the bucket puts other bytes under the key of a file: in one PUT or in parts, as many
 * bytes as announced or another number. The file is never READY and never EXISTING.
 */
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, describe, expect, it } from 'vitest';
import { UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { failureOf } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { total } from '../harness/metrics.ts';
import { type CutFile, cutFile, putParts } from '../harness/parts.ts';
import { expireVerifications } from '../harness/pass-time.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';

const PART = 5 * 1024 ** 2;
const MISMATCH = { code: 'FailedPrecondition', reason: 'CONTENT_MISMATCH' };

const service = forAllTests(() => startTestService({ MULTIPART_PART_BYTES: String(PART) }));
const mismatches = () => total(service.httpUrl, 'files_content_mismatches_total');

async function writeInParts(key: string, bytes: string) {
  const before = new Set((await service.bucket.uploads(key)).map(({ uploadId }) => uploadId));
  await service.bucket.beginUpload(key);
  const upload = (await service.bucket.uploads(key)).find(({ uploadId }) => !before.has(uploadId));
  if (upload === undefined) throw new Error('the upload was not begun');
  await service.bucket.writePart(upload, 1, Buffer.from(bytes));
  await service.bucket.complete(upload);
}

const WRITES: [string, (key: string, bytes: string) => Promise<void>][] = [
  ['in one PUT', (key, bytes) => service.bucket.write(key, bytes)],
  ['in parts', writeInParts],
];
const BYTES = 'the announced bytes';
const OTHERS: [string, string][] = [
  ['as many other bytes', BYTES.replace('the', 'The')],
  ['more other bytes', `${BYTES}, and more`],
];
const SIZES: [string, { size?: bigint }][] = [
  ['with a size', { size: BigInt(BYTES.length) }],
  ['without a size', {}],
];
const CASES = WRITES.flatMap(([how, write]) =>
  OTHERS.flatMap(([which, bytes]) =>
    SIZES.map(([sized, size]) => ({ how, which, sized, write, bytes, size })),
  ),
);

describe.each(CASES)('$which $how, under the key of an upload $sized', ({ write, bytes, size }) => {
  const create = (user: string) =>
    service.as(user).createPresignedUpload({
      filename: 'a.txt',
      mimeType: 'application/octet-stream',
      md5: md5(BYTES),
      ...size,
    });

  it('never become the pending file', async () => {
    const user = newUser();
    const { s3Key } = await create(user);
    await write(s3Key, bytes);
    const before = await mismatches();
    const files = service.as(user);
    expect((await files.listFiles({})).files).toEqual([]);
    expect(await failureOf(files.getFile({ s3Key }))).toMatchObject(MISMATCH);
    expect(await failureOf(files.createPresignedDownload({ s3Key }))).toMatchObject(MISMATCH);
    const again = await create(user);
    expect(again).toMatchObject({ type: UploadType.NEW, s3Key });
    expect(await mismatches()).toBe(before + 4);
    await put(again, BYTES);
    expect((await files.listFiles({})).files).toHaveLength(1);
  });

  it('take a READY file out of READY', async () => {
    const user = newUser();
    const files = service.as(user);
    const answer = await create(user);
    await put(answer, BYTES);
    expect((await files.listFiles({})).files).toHaveLength(1);
    await write(answer.s3Key, bytes);
    await expireVerifications(service.pool, user);
    const before = await mismatches();
    expect((await create(user)).type).toBe(UploadType.NEW);
    expect(await failureOf(files.getFile({ s3Key: answer.s3Key }))).toMatchObject(MISMATCH);
    expect((await files.listFiles({})).files).toEqual([]);
    expect(await mismatches()).toBeGreaterThan(before);
  });
});

describe('under the key of a multipart upload', () => {
  const film = () => cutFile('film.mp4', [PART, 10]);
  const complete = (user: string, s3Key: string) =>
    service.as(user).completeMultipartUpload({ s3Key }, { timeoutMs: 20_000 });
  const whole = ({ parts }: CutFile) => Buffer.concat(parts).toString('latin1');

  it.each(WRITES)('an object that another writer made %s is CONTENT_MISMATCH', async (_, write) => {
    const user = newUser();
    const files = service.as(user);
    const file = film();
    const { s3Key } = await files.createMultipartUpload(file);
    await write(s3Key, 'other bytes');
    expect(await failureOf(files.getFile({ s3Key }))).toMatchObject(MISMATCH);
    expect((await files.listFiles({})).files).toEqual([]);
    // CompleteMultipartUpload verifies the object before it answers that parts are missing.
    expect(await failureOf(complete(user, s3Key))).toMatchObject(MISMATCH);
    await putParts(files, s3Key, file, (await files.createMultipartUpload(file)).missingPartNumbers);
    expect((await complete(user, s3Key)).file?.size).toBe(file.size);
  });

  it('the same bytes in one PUT are CONTENT_MISMATCH, because no URL writes them so', async () => {
    const user = newUser();
    const file = film();
    const { s3Key } = await service.as(user).createMultipartUpload(file);
    await service.bucket.write(s3Key, whole(file));
    expect(await failureOf(service.as(user).getFile({ s3Key }))).toMatchObject(MISMATCH);
  });

  it('another part is CONTENT_MISMATCH and counted', async () => {
    const user = newUser();
    const files = service.as(user);
    const file = film();
    const { s3Key } = await files.createMultipartUpload(file);
    await putParts(files, s3Key, file, [1, 2]);
    const [upload] = await service.bucket.uploads(s3Key);
    if (upload === undefined) throw new Error('there is no upload');
    await service.bucket.writePart(upload, 2, Buffer.from('0123456789'));
    const before = await mismatches();
    expect(await failureOf(complete(user, s3Key))).toMatchObject({
      ...MISMATCH,
      metadata: { part_numbers: '2' },
    });
    expect(await mismatches()).toBe(before + 1);
  });

  it('Complete finds the object that another upload under the key has made', async () => {
    const user = newUser();
    const files = service.as(user);
    const file = film();
    const { s3Key } = await files.createMultipartUpload(file);
    await putParts(files, s3Key, file, [1, 2]);
    const [first] = await service.bucket.uploads(s3Key);
    if (first === undefined) throw new Error('there is no upload');
    await service.bucket.complete(first);
    // The row names an upload without parts, as after a crash between two calls.
    await service.bucket.beginUpload(s3Key);
    const [open] = await service.bucket.uploads(s3Key);
    await service.pool.query('update files set upload_id = $1 where user_id = $2', [open?.uploadId, user]);
    expect((await complete(user, s3Key)).file?.size).toBe(file.size);
  });
});

describe('the right bytes with another Content-Type', () => {
  const client = () => new S3Client({ ...s3(), forcePathStyle: true });
  const s3 = () => ({
    endpoint: service.bucket.endpoint,
    region: service.bucket.region,
    credentials: service.bucket.credentials,
  });
  const clients: S3Client[] = [];
  afterAll(() => {
    for (const each of clients) each.destroy();
  });
  async function write(Key: string, Body: string, ContentType: string) {
    const each = client();
    clients.push(each);
    await each.send(new PutObjectCommand({ Bucket: service.bucket.bucket, Key, Body, ContentType }));
  }
  const named = (mimeType: string) => ({ filename: 'a.txt', mimeType, md5: md5(BYTES) });

  it('never become a pending file', async () => {
    const user = newUser();
    const files = service.as(user);
    const { s3Key } = await files.createPresignedUpload(named('text/plain'));
    await write(s3Key, BYTES, 'text/html');
    expect((await files.listFiles({})).files).toEqual([]);
    expect(await failureOf(files.getFile({ s3Key }))).toMatchObject(MISMATCH);
    expect((await files.createPresignedUpload(named('text/plain'))).type).toBe(UploadType.NEW);
  });

  it('are accepted if only the spelling differs, and the list has the announced spelling', async () => {
    const user = newUser();
    const files = service.as(user);
    const mimeType = 'Text/Plain; charset="UTF-8"';
    const { s3Key } = await files.createPresignedUpload(named(mimeType));
    await write(s3Key, BYTES, 'text/plain;charset=utf-8');
    expect((await files.listFiles({})).files).toMatchObject([{ mimeType }]);
  });

  it('from a URL of an earlier create become the file, with the type that S3 has', async () => {
    const files = service.as(newUser());
    const early = await files.createPresignedUpload(named('text/csv'));
    await files.createPresignedUpload(named('text/plain'));
    await put(early, BYTES);
    expect((await files.listFiles({})).files).toMatchObject([{ mimeType: 'text/csv' }]);
  });

  it('from a URL of an earlier create leave a READY file READY, with the type that S3 has', async () => {
    const user = newUser();
    const files = service.as(user);
    const early = await files.createPresignedUpload(named('text/csv'));
    await put(await files.createPresignedUpload(named('text/plain')), BYTES);
    expect((await files.listFiles({})).files).toMatchObject([{ mimeType: 'text/plain' }]);
    await put(early, BYTES);
    await expireVerifications(service.pool, user);
    expect((await files.getFile({ s3Key: early.s3Key })).file).toMatchObject({ mimeType: 'text/csv' });
    expect((await files.createPresignedUpload(named('text/plain'))).type).toBe(UploadType.EXISTING);
  });
});
