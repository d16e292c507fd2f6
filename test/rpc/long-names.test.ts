/**
 * The longest names by users with the longest ids. Some S3 servers store an object in a file whose name is the key.
 * They refuse a key that is too long for a file name: the PUT, and then each HEAD and DELETE.
 */
import { describe, expect, it } from 'vitest';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import { FILENAME_MAX_CHARACTERS } from '../../src/files/rules/filename.ts';
import { USER_ID_MAX_CHARACTERS } from '../../src/files/rules/user-id.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { cutFile, putParts } from '../harness/parts.ts';
import { passTime } from '../harness/pass-time.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';

/** Longer than the write window of a single PUT and of a multipart upload, in seconds. */
const MONTH = 30 * 86_400;
const PART = 5 * 1024 ** 2;

const service = forAllTests(() =>
  startTestService({ SWEEP_INTERVAL_SECONDS: '3600', MULTIPART_PART_BYTES: String(PART) }),
);

/** In a key, each `@` of a user id needs three bytes. */
const users = [
  ['letters', () => newUser().padEnd(USER_ID_MAX_CHARACTERS, 'x')],
  ['signs', () => newUser().padEnd(USER_ID_MAX_CHARACTERS, '@')],
] as const;
const cases = users.flatMap(([kind, newLongUser]) =>
  ['a', '.', 'é', 'ä', 'я', '名', 'ي', '🦆'].map((character) => {
    const times = FILENAME_MAX_CHARACTERS - '.mp4'.length;
    return { times, character, kind, filename: `${character.repeat(times)}.mp4`, newLongUser };
  }),
);

const rowsOf = async (user: string) =>
  (await service.pool.query('select state from files where user_id = $1', [user])).rows;

/** A sweep that removes an object or an upload leaves the row for the next one. A slow server needs one more. */
const SWEEPS_MAX = 4;

async function purge(user: string) {
  for (let sweeps = 0; sweeps < SWEEPS_MAX && (await rowsOf(user)).length > 0; sweeps++) {
    await passTime(service.pool, MONTH, user);
    await service.app.sweeper.sweep();
  }
}

describe.each(cases)('a name of $times times $character, by a user with a long id of $kind', (each) => {
  const { filename } = each;
  const user = each.newLongUser();

  it('goes up, is listed and downloaded, and is deleted and purged', async () => {
    const files = service.as(user);
    const answer = await files.createPresignedUpload({ filename, mimeType: 'video/mp4', md5: md5(user) });
    expect(await put(answer, user)).toMatchObject({ status: 200 });
    const { s3Key } = answer;
    expect((await files.listFiles({})).files).toMatchObject([{ filename, s3Key, state: FileState.READY }]);
    const { presignedUrl } = await files.createPresignedDownload({ s3Key });
    expect(await (await fetch(presignedUrl)).text()).toBe(user);

    await files.deleteFile({ s3Key });
    await purge(user);
    expect(await rowsOf(user)).toEqual([]);
    expect(await service.bucket.keys()).not.toContain(s3Key);
  });

  it('goes up in parts, is listed, and is deleted and purged', async () => {
    const files = service.as(user);
    const file = cutFile(filename, [PART, 10]);
    const { s3Key } = await files.createMultipartUpload(file);
    await putParts(files, s3Key, file, [1, 2]);
    await files.completeMultipartUpload({ s3Key }, { timeoutMs: 20_000 });
    expect((await files.listFiles({})).files).toMatchObject([{ filename, s3Key, state: FileState.READY }]);
    await files.deleteFile({ s3Key });
    await purge(user);
    expect(await rowsOf(user)).toEqual([]);
    expect(await service.bucket.keys()).not.toContain(s3Key);
    expect(await service.bucket.uploads(s3Key)).toEqual([]);
  });

  it('without bytes expires and is purged', async () => {
    const files = service.as(user);
    const { s3Key } = await files.createPresignedUpload({
      filename,
      mimeType: 'video/mp4',
      md5: md5('never'),
    });
    await files.createMultipartUpload(cutFile(filename, [PART, 10]));
    await purge(user);
    expect(await rowsOf(user)).toEqual([]);
    expect(await service.bucket.uploads(s3Key)).toEqual([]);
  });
});
