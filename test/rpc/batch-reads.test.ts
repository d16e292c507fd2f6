import { describe, expect, it } from 'vitest';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import { failureOf, invalid } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { expireVerifications } from '../harness/pass-time.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { PROTOCOLS, startTestService } from '../harness/service.ts';
import { upload } from '../harness/upload.ts';

const service = forAllTests(() => startTestService());

const file = (name: string) => ({ filename: `${name}.txt`, mimeType: 'text/plain', md5: md5(name) });

describe.each(PROTOCOLS)('over %s', (protocol) => {
  it('returns the files in the order of their keys, and leaves out absent and foreign keys', async () => {
    const user = newUser();
    const files = service.as(user, protocol);
    const foreign = await upload(service.as(newUser()), 'foreign.txt', 'foreign');
    const ready = await upload(files, 'ready.txt', 'ready');
    await files.listFiles({});
    const landed = await upload(files, 'landed.txt', 'landed');
    const { s3Key: pending } = await files.createPresignedUpload(file('pending'));
    const deleted = await upload(files, 'deleted.txt', 'deleted');
    await files.deleteFile({ s3Key: deleted });

    const s3Keys = [pending, foreign, ready, `${user}_never.txt`, deleted, landed, ready];
    const { files: found, unverifiedUploads } = await files.batchGetFiles({ s3Keys });
    expect(found.map(({ s3Key, state }) => [s3Key, state])).toEqual([
      [pending, FileState.PENDING],
      [ready, FileState.READY],
      [landed, FileState.READY],
    ]);
    expect(unverifiedUploads).toBe(0);
    for (const one of found) expect(one).toEqual((await files.getFile({ s3Key: one.s3Key })).file);
  });

  it('refuses no keys, more than 1,000, and names the first ten keys that no file can have', async () => {
    const files = service.as(newUser(), protocol);
    for (const s3Keys of [[], Array.from({ length: 1_001 }, (_, i) => `${i}`)]) {
      expect(await failureOf(files.batchGetFiles({ s3Keys }))).toMatchObject(
        invalid('INVALID_BATCH_SIZE', 's3_keys'),
      );
    }
    const s3Keys = ['a', ...Array.from({ length: 20 }, () => 'x'.repeat(241))];
    expect(await failureOf(files.batchGetFiles({ s3Keys }))).toMatchObject({
      code: 'InvalidArgument',
      reason: 'INVALID_S3_KEY',
      fields: Array.from({ length: 10 }, (_, i) => `s3_keys[${i + 1}]`),
    });
  });
});

it('a file with other bytes than announced stays PENDING, and a lost file is left out', async () => {
  const user = newUser();
  const files = service.as(user);
  const { s3Key: other } = await files.createPresignedUpload(file('announced'));
  await service.bucket.write(other, 'other bytes');
  const lost = await upload(files, 'lost.txt', 'lost');
  await files.listFiles({});
  await service.bucket.remove(lost);
  await expireVerifications(service.pool, user);
  // A READY file is answered as it was when it was last verified.
  expect((await files.batchGetFiles({ s3Keys: [lost] })).files).toMatchObject([{ state: FileState.READY }]);
  await failureOf(files.getFile({ s3Key: lost }));
  expect(await files.batchGetFiles({ s3Keys: [other, lost] })).toMatchObject({
    files: [{ s3Key: other, state: FileState.PENDING }],
    unverifiedUploads: 0,
  });
});

it('a lost file that was uploaded again is READY', async () => {
  const user = newUser();
  const files = service.as(user);
  const s3Key = await upload(files, 'file.txt', 'file');
  await files.listFiles({});
  await service.bucket.remove(s3Key);
  await expireVerifications(service.pool, user);
  const answer = await files.createPresignedUpload(file('file'));
  await put(answer, 'file');
  expect((await files.batchGetFiles({ s3Keys: [s3Key] })).files).toMatchObject([{ state: FileState.READY }]);
});
