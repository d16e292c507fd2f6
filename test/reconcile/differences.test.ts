import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hostileText, UNPRINTABLE } from '../harness/captured-terminal.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { listVerified } from '../harness/list-verified.ts';
import { md5, newUser } from '../harness/random.ts';
import type { ChangeAnswer } from '../harness/s3-answers.ts';
import { startTestService } from '../harness/service.ts';
import {
  asListed,
  LEAST_AGE,
  NO_AGE_GUARD,
  range,
  removeAll,
  reportOf,
  run as runWith,
  scattered,
  uploadFiles,
  withTimes,
} from './fixture.ts';

let user: string;
// The interval is long, so that no sweeper repairs a difference before the command does.
const service = forAllTests(() => startTestService({ SWEEP_INTERVAL_SECONDS: '3600' }));
beforeEach(() => {
  user = newUser();
});
afterEach(() => removeAll(service));

const uploaded = (count: number) => uploadFiles(service, user, range(count));

/** Runs the command when all objects are older than the minimum age (LEAST_AGE in fixture.ts, about a second). */
async function report(...args: string[]) {
  return reportWith(asListed, ...args);
}

async function reportWith(change: ChangeAnswer, ...args: string[]) {
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  return reportOf(service, change, args);
}

const run = (args: string[], environment = {}) => runWith(service, args, environment);

const listed = async () => (await listVerified(service.as(user))).map(({ s3Key }) => s3Key).sort();

describe('a table and a bucket that agree', () => {
  it('are reported as agreeing, and nothing is changed', async () => {
    const keys = await uploaded(5);
    await service.as(user).createPresignedUpload({ filename: 'p', mimeType: 'a/b', md5: md5('pending') });
    await service.as(user).deleteFile({ s3Key: keys[0] ?? '' });
    const { code, text } = await run([]);
    expect(text).toContain('4 READY, 1 PENDING, 1 tombstones; 4 objects');
    expect(text).toContain('table and bucket agree');
    expect(code).toBe(0);
  });

  it('agree when both are empty', async () => {
    expect(await run([])).toMatchObject({ code: 0 });
  });
});

describe('differences', () => {
  it('of multipart uploads without a row are counted, and --repair aborts these uploads', async () => {
    const begin = async (key: string) => {
      await service.bucket.beginUpload(key);
      return key;
    };
    const [ready = ''] = await uploaded(1);
    const files = service.as(user);
    const request = { filename: 'film', mimeType: 'video/mp4', size: 5n, partMd5s: [new Uint8Array(16)] };
    const { s3Key } = await files.createMultipartUpload(request);
    const strays = [await begin(ready), await begin(`${user}_without-a-row.mp4`)];
    await begin('folder/not ours');
    const underWay = async () => (await service.bucket.uploads()).map(({ key }) => key).sort();

    const found = await report();
    expect(found).toMatchObject({ code: 1, strayUploads: { count: 2, examples: strays.sort() } });
    expect(await underWay()).toHaveLength(4);
    expect(await report('--repair')).toMatchObject({ code: 0, repaired: { strayUploads: 2 } });
    expect(await underWay()).toEqual(['folder/not ours', s3Key].sort());
  });

  it('are counted with examples in both directions, and left alone by default', async () => {
    const keys = await uploaded(30);
    await service.pool.query('delete from files where s3_key = any($1)', [keys.slice(0, 2)]);
    for (const key of keys.slice(2, 5)) await service.bucket.remove(key);
    await service.bucket.write(keys[5] ?? '', 'of another writer');
    await service.bucket.write('folder/not ours.txt', 'foreign');

    const found = await report();
    expect(found).toMatchObject({
      code: 1,
      rows: { ready: 28 },
      objects: { count: 28 },
      orphans: { count: 2, examples: keys.slice(0, 2).sort() },
      missing: { count: 3, examples: keys.slice(2, 5).sort() },
      different: { count: 1, examples: [keys[5]] },
      foreign: { count: 1, examples: ['folder/not ours.txt'] },
      repaired: { orphans: 0, missing: 0, different: 0 },
    });
    expect(await listed()).toEqual(keys.slice(2).sort());
    expect(await service.bucket.keys()).toHaveLength(28);
  });

  it('are repaired with --repair, and then none are left', async () => {
    const keys = await uploaded(30);
    await service.pool.query('delete from files where s3_key = any($1)', [keys.slice(0, 2)]);
    for (const key of keys.slice(2, 5)) await service.bucket.remove(key);
    await service.bucket.write(keys[5] ?? '', 'of another writer');
    await service.bucket.write('folder/not ours.txt', 'foreign');

    const times = withTimes(scattered(keys.slice(0, 2)));
    expect(await reportWith(times, '--repair')).toMatchObject({
      code: 0,
      repaired: { orphans: 2, missing: 3, different: 1 },
      refusals: [],
    });
    expect(await listed()).toEqual(keys.slice(6).sort());
    // The foreign object and the other bytes under a key of this service belong to another writer and stay.
    expect((await service.bucket.keys()).sort()).toEqual(['folder/not ours.txt', ...keys.slice(5)].sort());
    expect(await report()).toMatchObject({ code: 0, orphans: { count: 0 }, missing: { count: 0 } });
  });

  it('are found across pages of both table and bucket', async () => {
    const keys = await uploaded(1);
    await service.pool.query(
      `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, size, etag, last_modified, verified_at, url_expire_at)
       select 'many', 'many_' || n, 'ready', 'f', 'a/b', decode(md5('m' || n), 'hex'), 1, 'e', now(), now(), now()
       from generate_series(1, 2500) n`,
    );
    const found = await report('--max-repairs', '20');
    expect(found).toMatchObject({ rows: { ready: 2_501 }, missing: { count: 2_500 } });
    expect(found.missing.examples).toHaveLength(10);
    expect(found.missing.examples).not.toContain(keys[0]);
  }, 60_000);
});

describe('--repair refuses', () => {
  it('objects that are too young to judge', async () => {
    const keys = await uploaded(3);
    await service.pool.query('delete from files where s3_key = $1', [keys[0]]);
    // Rows that were created later show that the table has not lost its end.
    await service.pool.query(`update files set last_modified = last_modified + interval '1 hour'`);
    const { text, code } = await run(['--repair', '--json']);
    expect(JSON.parse(text)).toMatchObject({
      orphans: { count: 0 },
      young: { count: 1 },
      repaired: { orphans: 0 },
    });
    expect(code).toBe(0);
    expect(await service.bucket.keys()).toHaveLength(3);
  });

  it('a kind with more findings than --max-repairs', async () => {
    const keys = await uploaded(30);
    await service.pool.query('delete from files where s3_key = any($1)', [keys.slice(0, 3)]);
    const times = withTimes(scattered(keys.slice(0, 3)));
    const found = await reportWith(times, '--repair', '--max-repairs', '2');
    expect(found).toMatchObject({ code: 1, orphans: { count: 3 }, repaired: { orphans: 0 } });
    expect(found.refusals).toEqual([expect.stringContaining('the limit of repairs is 2')]);
    expect(await service.bucket.keys()).toHaveLength(30);
  });

  it('a table that looks restored to an older state', async () => {
    const keys = await uploaded(40);
    await service.pool.query('delete from files where s3_key = any($1)', [keys.slice(0, 15)]);
    const times = withTimes(scattered(keys.slice(0, 15)));
    const found = await reportWith(times, '--repair');
    expect(found).toMatchObject({ code: 1, orphans: { count: 15 }, repaired: { orphans: 0 } });
    expect(found.refusals).toEqual([expect.stringContaining('restored to an older state')]);
    expect(await service.bucket.keys()).toHaveLength(40);
  });

  it('a bucket that looks like the wrong one', async () => {
    const keys = await uploaded(40);
    for (const key of keys.slice(0, 15)) await service.bucket.remove(key);
    const found = await report('--repair');
    expect(found).toMatchObject({ code: 1, missing: { count: 15 }, repaired: { missing: 0 } });
    expect(found.refusals).toEqual([expect.stringContaining('this may be the wrong bucket')]);
    expect(await listed()).toHaveLength(40);
  });
});

describe('npm run reconcile', () => {
  it.each([
    ['--unknown', "Unknown option '--unknown'"],
    ['--min-age-hours 1', '--min-age-hours must be at least'],
    ['--min-age-hours x', '--min-age-hours must be at least'],
    ['--max-repairs=-1', '--max-repairs must be a whole number'],
    ['--max-repairs 1.5', '--max-repairs must be a whole number'],
    ['--max-repairs x', '--max-repairs must be a whole number'],
    ['--repair --adopt', '--repair and --adopt exclude each other'],
    ['--user-ids /missing', 'ENOENT'],
    ['stray', "Unexpected argument 'stray'"],
  ])('refuses %s with the problem and its usage', async (args, problem) => {
    const { code, text } = await run(args.split(' '));
    expect(code).toBe(2);
    expect(text).toContain(problem);
    expect(text).toContain('usage: npm run reconcile');
  });

  it('escapes control characters in keys, so that no key forges a line of the report', async () => {
    const forged = 'table and bucket agree';
    const [orphan = ''] = await uploaded(2);
    await service.pool.query('delete from files where s3_key = $1', [orphan]);
    await service.pool.query(`update files set last_modified = last_modified + interval '1 hour'`);
    const keys = [hostileText(forged), `z${' '.repeat(200)}${forged}`];
    for (const key of keys) await service.bucket.write(key, 'foreign');
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    const args = LEAST_AGE;

    const { text, code } = await run(args, NO_AGE_GUARD);
    expect(code).toBe(1);
    expect(text).not.toMatch(UNPRINTABLE);
    expect(text).toContain(`            ${JSON.stringify(orphan)}\n`);
    expect(text).toContain('\\u001b[2J');
    expect(text.split('\n').filter((line) => line.trim() === forged)).toEqual([]);
    expect(text.trimEnd().split('\n').at(-1)).toBe(
      'differences were found and nothing was changed; use --repair to repair them',
    );
    // If the screen wraps the key at a blank, the quotation mark ends the forged line.
    expect(text).not.toMatch(new RegExp(`${forged}$`, 'm'));

    const json = await run(['--json', ...args], NO_AGE_GUARD);
    expect(json.text).not.toMatch(UNPRINTABLE);
    expect(JSON.parse(json.text)).toMatchObject({ foreign: { count: 2, examples: keys } });
  });

  it('escapes control characters in wrong arguments', async () => {
    const { text, code } = await run([`--${hostileText('table and bucket agree')}`]);
    expect(code).toBe(2);
    expect(text).not.toMatch(UNPRINTABLE);
    expect(text.split('\n')).not.toContain('table and bucket agree');
  });

  it('shows its progress, and removes it at the end', async () => {
    await uploaded(2);
    const { progress, isProgressLeft } = await run([]);
    expect(isProgressLeft).toBe(false);
    expect(progress[0]).toMatch(/^\d+ rows, \d+ objects, \d+ objects\/s$/);
  });
});
