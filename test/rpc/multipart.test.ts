import { describe, expect, it } from 'vitest';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import { UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { multipartFingerprint } from '../../src/files/rules/fingerprint.ts';
import { failureOf, invalid } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { type CutFile, cutFile, partUrl, putParts } from '../harness/parts.ts';
import { passTime } from '../harness/pass-time.ts';
import { putTo } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { PROTOCOLS, startTestService } from '../harness/service.ts';

/** The smallest part size that S3 accepts, so that the tests send few bytes. */
const PART = 5 * 1024 ** 2;

const service = forAllTests(() => startTestService({ MULTIPART_PART_BYTES: String(PART) }));

const threeParts = () => cutFile('film.mp4', [PART, PART, 1_000]);
/**
 * The number of the last part of `threeParts()`. Tests send this part in PUTs that S3 must refuse, because it is short.
 * A server may refuse a long body before it has read the whole body, and then the answer can get lost.
 */
const SHORT_PART = 3;
/** A time-out for calls that may have to wait for S3. */
const PATIENT = { timeoutMs: 20_000 };

/** The ids of the multipart uploads that S3 has under a key. */
const uploadsOf = async (s3Key: string) =>
  (await service.bucket.uploads(s3Key)).map(({ uploadId }) => uploadId);

async function begun(user: string, file: CutFile = threeParts()) {
  const files = service.as(user);
  const { s3Key } = await files.createMultipartUpload(file);
  const [uploadId = ''] = await uploadsOf(s3Key);
  return { user, files, file, s3Key, uploadId };
}

async function finished(file: CutFile = threeParts()) {
  const upload = await begun(newUser(), file);
  await putParts(upload.files, upload.s3Key, file, [1, 2, 3]);
  await upload.files.completeMultipartUpload({ s3Key: upload.s3Key });
  return upload;
}

const pass = (seconds: number) => passTime(service.pool, seconds);

describe.each(PROTOCOLS)('over %s', (protocol) => {
  it('a multipart upload with parts in any order becomes a READY file', async () => {
    const user = newUser();
    const files = service.as(user, protocol);
    const file = threeParts();
    const answer = await files.createMultipartUpload(file);
    expect(answer).toMatchObject({
      type: UploadType.NEW,
      s3Key: `${user}_film.mp4`,
      partSize: BigInt(PART),
      missingPartNumbers: [1, 2, 3],
    });
    const { s3Key } = answer;
    const week = Number(answer.expireTime?.seconds) - Date.now() / 1_000;
    expect(week).toBeGreaterThan(7 * 86_400 - 60);
    expect(week).toBeLessThanOrEqual(7 * 86_400);
    expect((await files.listFiles({})).files).toEqual([]);
    expect((await files.getFile({ s3Key })).file).toMatchObject({
      state: FileState.PENDING,
      size: file.size,
    });

    await putParts(files, s3Key, file, [3, 1, 2]);
    const { file: made } = await files.completeMultipartUpload({ s3Key }, PATIENT);
    expect(made).toMatchObject({
      s3Key,
      filename: 'film.mp4',
      mimeType: 'video/mp4',
      size: file.size,
      md5: '',
      etag: multipartFingerprint(file.partMd5s),
      state: FileState.READY,
    });
    expect((await files.listFiles({})).files).toEqual([made]);

    expect(await files.createMultipartUpload({ ...file, filename: 'again.mp4' })).toMatchObject({
      type: UploadType.EXISTING,
      s3Key,
      missingPartNumbers: [],
    });
    const { presignedUrl } = await files.createPresignedDownload({ s3Key });
    const range = await fetch(presignedUrl, { headers: { range: `bytes=${PART}-${PART + 9}` } });
    expect(range.status).toBe(206);
    expect(Buffer.from(await range.arrayBuffer())).toEqual(file.parts[1]?.subarray(0, 10));
    const whole = Buffer.from(await (await fetch(presignedUrl)).arrayBuffer());
    expect(whole.equals(Buffer.concat(file.parts))).toBe(true);

    await files.deleteFile({ s3Key });
    expect((await files.listFiles({})).files).toEqual([]);
    expect(await service.bucket.keys()).not.toContain(s3Key);
    expect(await uploadsOf(s3Key)).toEqual([]);
  });
});

describe('a resumed multipart upload', () => {
  it('asks only for the missing parts', async () => {
    const { files, file, s3Key } = await begun(newUser());
    await putParts(files, s3Key, file, [2]);
    const again = await files.createMultipartUpload(file);
    expect(again).toMatchObject({ type: UploadType.NEW, s3Key, missingPartNumbers: [1, 3] });
    expect(await uploadsOf(s3Key)).toHaveLength(1);
    await putParts(files, s3Key, file, again.missingPartNumbers);
    expect((await files.createMultipartUpload(file)).missingPartNumbers).toEqual([]);
    expect((await files.completeMultipartUpload({ s3Key }, PATIENT)).file?.state).toBe(FileState.READY);
  });

  it('accepts a part that is sent again', async () => {
    const { files, file, s3Key } = await begun(newUser());
    await putParts(files, s3Key, file, [1, 1, 2, 3, 1]);
    expect((await files.completeMultipartUpload({ s3Key }, PATIENT)).file?.size).toBe(file.size);
  });

  it('asks for all parts again if S3 has lost the upload', async () => {
    const { files, file, s3Key, uploadId } = await begun(newUser());
    await putParts(files, s3Key, file, [1, 2]);
    await service.bucket.abort({ key: s3Key, uploadId });
    expect(await failureOf(files.completeMultipartUpload({ s3Key }, PATIENT))).toMatchObject({
      reason: 'UPLOAD_INCOMPLETE',
      metadata: { missing_parts: '3', missing_part_numbers: '1,2,3' },
    });
    expect((await files.createMultipartUpload(file)).missingPartNumbers).toEqual([1, 2, 3]);
    await putParts(files, s3Key, file, [1, 2, 3]);
    expect((await files.completeMultipartUpload({ s3Key }, PATIENT)).file?.state).toBe(FileState.READY);
  });

  it('finds the S3 upload of a call that died before it stored the upload id', async () => {
    const { files, file, s3Key, uploadId } = await begun(newUser());
    await putParts(files, s3Key, file, [1]);
    await service.pool.query('update files set upload_id = null where s3_key = $1', [s3Key]);
    await putParts(files, s3Key, file, [2]);
    expect((await files.createMultipartUpload(file)).missingPartNumbers).toEqual([3]);
    expect(await uploadsOf(s3Key)).toEqual([uploadId]);
  });

  it('is one upload in S3 for 20 concurrent creates', async () => {
    const user = newUser();
    const file = threeParts();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => service.as(user).createMultipartUpload(file, PATIENT)),
    );
    expect(new Set(answers.map(({ s3Key }) => s3Key))).toEqual(new Set([`${user}_film.mp4`]));
    expect(await uploadsOf(`${user}_film.mp4`)).toHaveLength(1);
  });

  it('asks for all parts again if the object of a READY file was removed', async () => {
    const { files, file, s3Key } = await finished();
    await service.bucket.remove(s3Key);
    await pass(1_000);
    expect(await failureOf(files.completeMultipartUpload({ s3Key }, PATIENT))).toMatchObject({
      reason: 'FILE_NOT_FOUND',
    });
    const again = await files.createMultipartUpload(file);
    expect(again).toMatchObject({ type: UploadType.NEW, s3Key, missingPartNumbers: [1, 2, 3] });
    await putParts(files, s3Key, file, [1, 2, 3]);
    expect((await files.completeMultipartUpload({ s3Key }, PATIENT)).file?.state).toBe(FileState.READY);
  });
});

describe('a part that differs from what was announced', () => {
  it.each(['other bytes', 'too few bytes', 'too many bytes'])('is refused by S3: %s', async (what) => {
    const { files, file, s3Key } = await begun(newUser());
    const part = await partUrl(files, s3Key, 3);
    const bytes = { 'other bytes': 1_000, 'too few bytes': 999, 'too many bytes': 1_001 }[what] ?? 0;
    const other = Buffer.alloc(bytes, 'other');
    const headers = { ...part.requiredHeaders, 'Content-Length': String(bytes) };
    expect((await putTo(part.presignedUrl, headers, other)).status).toBeGreaterThanOrEqual(400);
    await putParts(files, s3Key, file, [1, 2]);
    expect(await failureOf(files.completeMultipartUpload({ s3Key }, PATIENT))).toMatchObject({
      code: 'FailedPrecondition',
      reason: 'UPLOAD_INCOMPLETE',
      metadata: { s3_key: s3Key, missing_parts: '1', missing_part_numbers: '3' },
    });
    expect((await files.listFiles({})).files).toEqual([]);
    await putParts(files, s3Key, file, [3]);
    expect((await files.completeMultipartUpload({ s3Key }, PATIENT)).file?.state).toBe(FileState.READY);
  });

  it('written by another S3 client is named by CompleteMultipartUpload, and can be sent again', async () => {
    const { files, file, s3Key, uploadId } = await begun(newUser());
    await putParts(files, s3Key, file, [1, 2, 3]);
    const foreign = Buffer.alloc(PART, 'of another upload');
    await service.bucket.writePart({ key: s3Key, uploadId }, 2, foreign);
    expect(await failureOf(files.completeMultipartUpload({ s3Key }, PATIENT))).toMatchObject({
      code: 'FailedPrecondition',
      reason: 'CONTENT_MISMATCH',
      metadata: { part_numbers: '2' },
    });
    expect((await files.listFiles({})).files).toEqual([]);
    expect((await files.createMultipartUpload(file)).missingPartNumbers).toEqual([2]);
    await putParts(files, s3Key, file, [2]);
    expect((await files.completeMultipartUpload({ s3Key }, PATIENT)).file?.etag).toBe(
      multipartFingerprint(file.partMd5s),
    );
  });

  it('from another upload is refused by S3', async () => {
    const user = newUser();
    const [one, other] = [await begun(user), await begun(user, cutFile('other.mp4', [PART, PART, 1_000]))];
    const part = await partUrl(one.files, one.s3Key, SHORT_PART);
    const stolen = new URL(part.presignedUrl);
    stolen.searchParams.set('uploadId', other.uploadId);
    const { status } = await putTo(stolen.href, part.requiredHeaders, one.file.parts[2] ?? '');
    expect(status).toBe(403);
    const bytes = other.file.parts[2] ?? '';
    expect((await putTo(part.presignedUrl, part.requiredHeaders, bytes)).status).toBe(400);
  });

  it('cannot overwrite a READY file', async () => {
    const { files, file, s3Key } = await begun(newUser());
    const part = await partUrl(files, s3Key, SHORT_PART);
    await putParts(files, s3Key, file, [1, 2, 3]);
    await files.completeMultipartUpload({ s3Key }, PATIENT);
    const replayed = await putTo(part.presignedUrl, part.requiredHeaders, file.parts[2] ?? '');
    expect(replayed.status).toBe(404);
    expect(await failureOf(files.createPresignedParts({ s3Key, partNumbers: [1] }))).toMatchObject({
      code: 'FailedPrecondition',
      reason: 'UPLOAD_COMPLETE',
    });
  });
});

describe('CompleteMultipartUpload', () => {
  it('returns the same file for ten concurrent calls and a later call', async () => {
    const { files, file, s3Key } = await begun(newUser());
    await putParts(files, s3Key, file, [1, 2, 3]);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, () => files.completeMultipartUpload({ s3Key }, PATIENT)),
    );
    const made = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value.file?.etag] : []));
    // S3 may refuse concurrent completions while it is busy with the first, so some calls may fail.
    expect(made.length).toBeGreaterThan(0);
    const again = await files.completeMultipartUpload({ s3Key }, PATIENT);
    expect(new Set([...made, again.file?.etag])).toEqual(new Set([multipartFingerprint(file.partMd5s)]));
    expect(await uploadsOf(s3Key)).toEqual([]);
  });

  it('returns the file if an earlier completion succeeded, but its answer was lost', async () => {
    const { files, file, s3Key, uploadId } = await begun(newUser());
    await putParts(files, s3Key, file, [1, 2, 3]);
    await service.bucket.complete({ key: s3Key, uploadId });
    expect((await files.completeMultipartUpload({ s3Key }, PATIENT)).file).toMatchObject({
      state: FileState.READY,
      size: file.size,
    });
  });

  it('is not needed if S3 has completed the upload already: list and create find the file', async () => {
    for (const ask of ['list', 'create'] as const) {
      const { files, file, s3Key, uploadId } = await begun(newUser());
      await putParts(files, s3Key, file, [1, 2, 3]);
      await service.bucket.complete({ key: s3Key, uploadId });
      if (ask === 'list') expect((await files.listFiles({})).files).toMatchObject([{ s3Key }]);
      else expect((await files.createMultipartUpload(file)).type).toBe(UploadType.EXISTING);
    }
  });

  it('and the sweeper leave no other upload under the key', async () => {
    const { files, file, s3Key } = await begun(newUser());
    await service.bucket.beginUpload(s3Key);
    expect(await uploadsOf(s3Key)).toHaveLength(2);
    await putParts(files, s3Key, file, [1, 2, 3]);
    await files.completeMultipartUpload({ s3Key }, PATIENT);
    await pass(61);
    await service.app.sweeper.sweep();
    expect(await uploadsOf(s3Key)).toEqual([]);
    expect((await files.listFiles({})).files).toMatchObject([{ s3Key }]);
  });

  it('concurrent with a delete leaves neither a file nor a part', async () => {
    for (let round = 0; round < 5; round++) {
      const { files, file, s3Key } = await begun(newUser());
      await putParts(files, s3Key, file, [1, 2, 3]);
      const [completed] = await Promise.allSettled([
        files.completeMultipartUpload({ s3Key }, PATIENT),
        files.deleteFile({ s3Key }),
      ]);
      // The completion may succeed before the delete, find no file after it, or find that S3 has no parts any
      // more.
      if (completed.status === 'rejected') {
        expect(await failureOf(Promise.reject(completed.reason))).toMatchObject({
          code: expect.stringMatching(/NotFound|FailedPrecondition|Unavailable/),
        });
      }
      expect((await files.listFiles({})).files).toEqual([]);
      await pass(60);
      await service.app.sweeper.sweep();
      expect(await service.bucket.keys()).not.toContain(s3Key);
      expect(await uploadsOf(s3Key)).toEqual([]);
    }
  });
});

describe('an invalid request is refused', () => {
  const plan = (sizes: number[], over: Partial<CutFile> = {}) => ({ ...cutFile('a.bin', sizes), ...over });
  const sums = (count: number, length = 16) =>
    Array.from({ length: count }, () => new Uint8Array(length).fill(count % 251));

  it.each([
    ['no bytes', plan([0], { size: 0n }), 'INVALID_SIZE', 'size'],
    ['a negative size', plan([1], { size: -1n }), 'INVALID_SIZE', 'size'],
    ['more than the largest object', plan([1], { size: 5n * 1024n ** 4n + 1n }), 'FILE_TOO_LARGE', 'size'],
    ['no MD5s', plan([1], { partMd5s: [] }), 'INVALID_PARTS', 'part_md5s'],
    ['an MD5 of 15 bytes', plan([1], { partMd5s: sums(1, 15) }), 'INVALID_PARTS', 'part_md5s'],
    ['an MD5 in hex', plan([1], { partMd5s: sums(1, 32) }), 'INVALID_PARTS', 'part_md5s'],
    ['too few MD5s', plan([PART, 1], { partMd5s: sums(1) }), 'INVALID_PARTS', 'part_md5s'],
    ['too many MD5s', plan([PART], { partMd5s: sums(2) }), 'INVALID_PARTS', 'part_md5s'],
    [
      '10,001 MD5s',
      plan([1], { size: BigInt(PART) * 10_001n, partMd5s: sums(10_001) }),
      'INVALID_PARTS',
      'part_md5s',
    ],
    ['a bad name', plan([1], { filename: 'a/b' }), 'INVALID_FILENAME', 'filename'],
    ['a bad type', plan([1], { mimeType: 'video' }), 'INVALID_MIME_TYPE', 'mime_type'],
  ])('%s', async (_, request, reason, field) => {
    for (const protocol of PROTOCOLS) {
      const user = newUser();
      expect(await failureOf(service.as(user, protocol).createMultipartUpload(request))).toMatchObject(
        invalid(reason, field),
      );
    }
  });

  it('and the error tells part_size and part_count', async () => {
    const request = plan([1], { size: BigInt(PART) * 10_001n, partMd5s: sums(3) });
    expect(await failureOf(service.as(newUser()).createMultipartUpload(request))).toMatchObject({
      metadata: { part_size: String(2 * PART), part_count: '5001' },
    });
  });

  it.each([
    ['none', []],
    ['0', [0]],
    ['a negative number', [-1]],
    ['a number past the last', [4]],
    ['a number twice', [1, 2, 1]],
    ['more than 500', Array.from({ length: 501 }, (_, i) => i + 1)],
  ])('part numbers: %s', async (_, partNumbers) => {
    const { files, s3Key } = await begun(newUser());
    expect(await failureOf(files.createPresignedParts({ s3Key, partNumbers }))).toMatchObject({
      ...invalid('INVALID_PARTS', 'part_numbers'),
      metadata: partNumbers[0] === 4 ? { part_size: String(PART), part_count: '3' } : {},
    });
  });

  it('part numbers that no file can have, without a query', async () => {
    const files = service.as(newUser());
    expect(await failureOf(files.createPresignedParts({ s3Key: 'u_x.txt', partNumbers: [0] }))).toMatchObject(
      invalid('INVALID_PARTS', 'part_numbers'),
    );
  });

  it('parts of a file with a single PUT', async () => {
    const files = service.as(newUser());
    const { s3Key } = await files.createPresignedUpload({
      filename: 'a.txt',
      mimeType: 'text/plain',
      md5: md5('a'),
    });
    const refused = { reason: 'INVALID_S3_KEY', fields: ['s3_key'] };
    expect(await failureOf(files.createPresignedParts({ s3Key, partNumbers: [1] }))).toMatchObject(refused);
    expect(await failureOf(files.completeMultipartUpload({ s3Key }, PATIENT))).toMatchObject(refused);
  });

  it('an upload of another user, with the same bytes as for an upload that does not exist', async () => {
    const { s3Key } = await begun(newUser());
    const other = service.as(newUser());
    const absent = 'absent_film.mp4';
    const same = async (ask: (key: string) => Promise<unknown>) => {
      const [theirs, none] = [await failureOf(ask(s3Key)), await failureOf(ask(absent))];
      expect(theirs).toMatchObject({ code: 'NotFound', reason: 'FILE_NOT_FOUND' });
      expect(JSON.stringify(theirs).replaceAll(s3Key, absent)).toBe(JSON.stringify(none));
    };
    await same((key) => other.createPresignedParts({ s3Key: key, partNumbers: [1] }));
    await same((key) => other.completeMultipartUpload({ s3Key: key }));
  });

  it('a call without a user', async () => {
    const anonymous = service.as(undefined);
    const failures = await Promise.all([
      failureOf(anonymous.createMultipartUpload(threeParts())),
      failureOf(anonymous.createPresignedParts({ s3Key: 'a', partNumbers: [1] })),
      failureOf(anonymous.completeMultipartUpload({ s3Key: 'a' })),
    ]);
    for (const failure of failures) {
      expect(failure).toMatchObject({ code: 'Unauthenticated', reason: 'USER_ID_MISSING' });
    }
  });
});

describe('an abandoned multipart upload', () => {
  it('is aborted at once by a delete, and its URLs become invalid', async () => {
    const { files, file, s3Key } = await begun(newUser());
    await putParts(files, s3Key, file, [1]);
    const part = await partUrl(files, s3Key, SHORT_PART);
    await files.deleteFile({ s3Key });
    expect(await uploadsOf(s3Key)).toEqual([]);
    const late = await putTo(part.presignedUrl, part.requiredHeaders, file.parts[2] ?? '');
    expect(late.status).toBe(404);
    expect(await failureOf(files.completeMultipartUpload({ s3Key }, PATIENT))).toMatchObject({
      reason: 'FILE_NOT_FOUND',
    });
  });

  it('is kept for a week and a day after the last create, and is then removed', async () => {
    const { files, file, s3Key } = await begun(newUser());
    await putParts(files, s3Key, file, [1]);
    await pass(6 * 86_400);
    await service.app.sweeper.sweep();
    await putParts(files, s3Key, file, [2]);
    await pass(7 * 86_400 + 3_600);
    await service.app.sweeper.sweep();
    expect((await files.createMultipartUpload(file)).missingPartNumbers).toEqual([3]);

    await pass(8 * 86_400 + 3_600);
    await service.app.sweeper.sweep();
    expect(await uploadsOf(s3Key)).toEqual([]);
    // The sweeper purges the row in another round, after S3 has confirmed that no upload is left.
    await pass(86_400);
    await service.app.sweeper.sweep();
    const { rowCount } = await service.pool.query('select from files where s3_key = $1', [s3Key]);
    expect(rowCount).toBe(0);
  });

  it('is aborted again by the sweeper if another upload begins under the key of a tombstone', async () => {
    const { files, s3Key } = await begun(newUser());
    await files.deleteFile({ s3Key });
    await service.bucket.beginUpload(s3Key);
    await pass(60);
    await service.app.sweeper.sweep();
    expect(await uploadsOf(s3Key)).toEqual([]);
  });
});

it('a create accepts 10,000 parts, and CreatePresignedParts returns 500 URLs', async () => {
  const files = service.as(newUser());
  const partMd5s = Array.from({ length: 10_000 }, (_, i) => Buffer.from(md5(`part ${i}`), 'base64'));
  const request = {
    filename: 'huge.bin',
    mimeType: 'application/octet-stream',
    size: BigInt(PART) * 9_999n + 1n,
    partMd5s,
  };
  const answer = await files.createMultipartUpload(request);
  expect(answer.missingPartNumbers).toHaveLength(10_000);
  const { parts } = await files.createPresignedParts({
    s3Key: answer.s3Key,
    partNumbers: answer.missingPartNumbers.slice(-500),
  });
  expect(parts).toHaveLength(500);
  expect(parts.at(-1)).toMatchObject({
    partNumber: 10_000,
    requiredHeaders: { 'Content-MD5': md5('part 9999'), 'Content-Length': '1' },
  });
  expect((await files.createMultipartUpload(request)).missingPartNumbers).toHaveLength(10_000);
  await files.deleteFile({ s3Key: answer.s3Key });
});
