import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { listVerified } from '../harness/list-verified.ts';
import { cutFile, putParts } from '../harness/parts.ts';
import { md5, newUser } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';
import {
  asListed,
  range,
  removeAll,
  reportOf,
  run as runWith,
  scattered,
  uploadFiles,
  withTimes,
} from './fixture.ts';

const PART_BYTES = 5 * 1024 ** 2;

let user: string;
// The interval is long, so that no sweeper repairs a difference before the command does.
const service = forAllTests(() =>
  startTestService({ SWEEP_INTERVAL_SECONDS: '3600', MULTIPART_PART_BYTES: String(PART_BYTES) }),
);
beforeEach(() => {
  user = newUser();
});
afterEach(() => removeAll(service));

const run = (...args: string[]) => runWith(service, args);

const report = async (...args: string[]) => {
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  return reportOf(service, asListed, args);
};

/** Removes rows, as an asynchronous failover loses the last uploads that the old primary acknowledged. */
async function loseRows(keys: string[]) {
  await service.pool.query('delete from files where s3_key = any($1)', [keys]);
}

/** Makes all rows an hour newer, as rows that the new primary has written since the failover. */
async function laterRows() {
  await service.pool.query(`
    update files set last_modified = last_modified + interval '1 hour', create_time = create_time + interval '1 hour'`);
}

/** Everything that a user sees of the files, in the order of the keys. */
async function seen() {
  const files = await listVerified(service.as(user));
  return files
    .map(({ s3Key, filename, md5: hash, size, mimeType, lastModified }) => ({
      s3Key,
      filename,
      hash,
      size,
      mimeType,
      seconds: lastModified?.seconds,
    }))
    .sort((a, b) => (a.s3Key < b.s3Key ? -1 : 1));
}

describe('after a failover that lost 40 rows of 600', () => {
  const TOTAL = 600;
  const LOST = 40;
  let lost: string[];

  async function failOver() {
    const keys = await uploadFiles(service, user, range(TOTAL), 20);
    const before = await seen();
    lost = keys.slice(-LOST);
    await loseRows(lost);
    return before;
  }

  it('--repair removes nothing, --adopt brings every file back, and then table and bucket agree', async () => {
    const before = await failOver();
    expect(before).toHaveLength(TOTAL);
    expect(await seen()).toHaveLength(TOTAL - LOST);

    for (const rows of ['the newest rows are older', 'rows are newer']) {
      if (rows === 'rows are newer') await laterRows();
      const found = await report('--repair');
      expect(found, rows).toMatchObject({
        code: 1,
        orphans: { count: LOST },
        lostTail: { count: LOST },
        repaired: { orphans: 0 },
        refusals: [expect.stringMatching(/^40 objects without a row .* Nothing is removed\. .*--adopt/)],
      });
    }
    const keys = await service.pool.query('select count(*)::int as rows from files');
    expect(keys.rows).toEqual([{ rows: TOTAL - LOST }]);

    const reported = await run();
    expect(reported).toMatchObject({ code: 1 });
    expect(reported.text).toContain('attention: 40 objects without a row');
    expect(reported.text).toContain('nothing was changed; use --adopt');
    expect(await seen()).toHaveLength(TOTAL - LOST);

    const adopted = await run('--adopt');
    expect(adopted.text).toContain('adopted: 40');
    expect(adopted.text).toContain('table and bucket agree');
    expect(adopted.code).toBe(0);
    const after = await seen();
    expect(after.filter(({ s3Key }) => lost.includes(s3Key))).toEqual(
      before.filter(({ s3Key }) => lost.includes(s3Key)),
    );
    expect(after.map(({ s3Key }) => s3Key)).toEqual(before.map(({ s3Key }) => s3Key));

    const again = await report('--adopt');
    expect(again).toMatchObject({ code: 0, orphans: { count: 0 }, repaired: { adopted: 0 } });
    expect(await report('--repair')).toMatchObject({ code: 0, rows: { ready: TOTAL } });
    expect(await seen()).toEqual(after);
  }, 120_000);
});

describe('--repair', () => {
  it('keeps a single object that is not older than the newest row', async () => {
    const keys = await uploadFiles(service, user, range(30));
    await loseRows(keys.slice(-1));
    expect(await report('--repair')).toMatchObject({ code: 1, lostTail: { count: 1 } });
    expect(await service.bucket.keys()).toHaveLength(30);
  });

  it('keeps a cluster among scattered objects, and all of these', async () => {
    const keys = await uploadFiles(service, user, range(300));
    await loseRows(keys.slice(0, 20));
    await laterRows();
    const times = withTimes(scattered(keys.slice(5, 20)));
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    const found = await reportOf(service, times, ['--repair']);
    expect(found).toMatchObject({ code: 1, orphans: { count: 20 }, lostTail: { count: 5 } });
    expect(found.repaired.orphans).toBe(0);
  }, 60_000);

  it('keeps young objects that cluster, and does not say that table and bucket agree', async () => {
    const keys = await uploadFiles(service, user, range(30));
    await loseRows(keys.slice(0, 2));
    await laterRows();
    const { code, text } = await run('--repair');
    expect(code).toBe(1);
    expect(text).toContain('refused: 2 objects without a row were written from');
    expect(await service.bucket.keys()).toHaveLength(30);
  });

  it('removes copies of files that their user has under another key', async () => {
    const keys = await uploadFiles(service, user, range(30));
    for (const n of range(3)) await service.bucket.write(`${user}_copy-${n}.txt`, `content ${n}`);
    expect(await report('--repair')).toMatchObject({
      code: 0,
      copies: { count: 3 },
      adoptable: { count: 0 },
      repaired: { orphans: 3 },
    });
    expect((await service.bucket.keys()).sort()).toEqual(keys.sort());
  });

  it('keeps a copy of a file whose own object is missing', async () => {
    const [key = ''] = await uploadFiles(service, user, [0]);
    await service.bucket.write(`${user}_copy.txt`, 'content 0');
    await service.bucket.remove(key);
    expect(await report('--repair')).toMatchObject({ copies: { count: 0 }, lostTail: { count: 1 } });
    expect(await service.bucket.keys()).toEqual([`${user}_copy.txt`]);
  });
});

describe('--adopt', () => {
  it('makes a multipart file again, and the sweeper visits it once more', async () => {
    const file = cutFile('film.mp4', [PART_BYTES, 3]);
    const files = service.as(user);
    const { s3Key } = await files.createMultipartUpload({ ...file, partMd5s: file.partMd5s });
    await putParts(files, s3Key, file, [1, 2]);
    await files.completeMultipartUpload({ s3Key });
    const before = await seen();
    await loseRows([s3Key]);
    expect(await report('--adopt')).toMatchObject({ code: 0, repaired: { adopted: 1 } });
    expect(await seen()).toEqual(before);
    const { rows } = await service.pool.query('select due_at from files');
    expect(rows).toEqual([{ due_at: expect.any(Date) }]);
    const again = await files.createMultipartUpload({ ...file, partMd5s: file.partMd5s });
    expect(again.s3Key).toBe(s3Key);
  });

  it('leaves the row of a concurrent create alone, under the same key or with the same content', async () => {
    const [sameKey = '', sameContent = ''] = await uploadFiles(service, user, [0, 1]);
    await loseRows([sameKey, sameContent]);
    const files = service.as(user);
    await files.createPresignedUpload({ filename: '0.txt', mimeType: 'a/b', md5: md5('other content') });
    await files.createPresignedUpload({ filename: 'x.txt', mimeType: 'a/b', md5: md5('content 1') });
    const rows = async () =>
      (await service.pool.query('select s3_key, state, mime_type from files order by s3_key')).rows;
    const before = await rows();
    const found = await report('--adopt');
    expect(found).toMatchObject({ code: 1, repaired: { adopted: 0 } });
    expect(found.refusals).toEqual([expect.stringContaining('the content of a pending upload')]);
    expect(await rows()).toEqual(before);
  });

  it('makes one row of each object when it runs twice at once beside creates', async () => {
    const keys = await uploadFiles(service, user, range(40));
    await loseRows(keys);
    const files = service.as(user);
    const create = (n: number) =>
      files.createPresignedUpload({
        filename: `${n}.txt`,
        mimeType: 'text/plain',
        md5: md5(`content ${n}`),
      });
    await Promise.all([run('--adopt'), run('--adopt'), ...range(40).map(create)]);
    expect((await seen()).map(({ s3Key }) => s3Key)).toEqual(keys.sort());
    expect(await report()).toMatchObject({ code: 0, rows: { ready: 40, pending: 0 } });
  });

  it('makes no file of an object with a Content-Encoding, or of one that no upload can have made', async () => {
    const s3 = new S3Client({ ...service.bucket, forcePathStyle: true });
    const Key = `${user}_encoded.txt`;
    const input = { Bucket: service.bucket.bucket, Key, Body: 'x', ContentEncoding: 'gzip' };
    await s3.send(new PutObjectCommand(input));
    s3.destroy();
    // The user id in the first key is the character NUL, which Postgres refuses. The user id in the second key has a
    // comma, which no user id may have.
    for (const key of ['.00_x', 'a.2Cb_x']) await service.bucket.write(key, key);
    const found = await report('--adopt');
    expect(found).toMatchObject({ code: 1, foreign: { count: 2 }, repaired: { adopted: 0 } });
    expect(found.refusals).toEqual([
      expect.stringContaining('1 objects were not adopted: they have a Content'),
    ]);
    expect(await seen()).toEqual([]);
  });

  it('adopts nothing beyond --max-repairs', async () => {
    await loseRows(await uploadFiles(service, user, range(3)));
    const found = await report('--adopt', '--max-repairs', '2');
    expect(found).toMatchObject({ code: 1, repaired: { adopted: 0 } });
    expect(found.refusals).toEqual([expect.stringContaining('set --max-repairs')]);
  });
});
