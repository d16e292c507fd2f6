import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type CreatePresignedUploadResponse, UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { failureOf } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { total } from '../harness/metrics.ts';
import { passTime } from '../harness/pass-time.ts';
import { put, putTo } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';

const HOUR = 3_600;

// The interval is long, so that only the tests start sweeps.
const service = forAllTests(() => startTestService({ SWEEP_INTERVAL_SECONDS: '3600' }));

const file = (bytes: string) => ({ filename: `${bytes}.txt`, mimeType: 'text/plain', md5: md5(bytes) });
const rows = async (user: string) =>
  (
    await service.pool.query(
      'select *, extract(epoch from due_at - now()) as due_in from files where user_id = $1',
      [user],
    )
  ).rows;
const objects = async (user: string) => (await service.bucket.keys()).filter((key) => key.startsWith(user));

const later = (user: string, seconds: number) => passTime(service.pool, seconds, user);

async function sweepAfter(user: string, seconds: number) {
  await later(user, seconds);
  await service.app.sweeper.sweep();
}

describe('a pending upload', () => {
  it('becomes READY by the sweeper, without any call', async () => {
    const user = newUser();
    await put(await service.as(user).createPresignedUpload(file('come')), 'come');
    await sweepAfter(user, 31);
    expect(await rows(user)).toMatchObject([{ state: 'ready', due_at: null, pending_slot: null }]);
  });

  it('without bytes is rescheduled with growing pauses and purged after the write window', async () => {
    const user = newUser();
    await service.as(user).createPresignedUpload(file('never'));
    const pauses: number[] = [];
    let elapsed = 0;
    for (let sweeps = 0; (await rows(user)).length > 0 && sweeps < 20; sweeps++) {
      const [{ due_in }] = await rows(user);
      pauses.push(Math.round(Number(due_in)));
      elapsed += Number(due_in) + 1;
      await sweepAfter(user, Number(due_in) + 1);
    }
    expect(pauses.slice(0, 6)).toEqual([30, 120, 480, 1_920, 7_680, 30_720]);
    // The write window is an hour of URL and a day of upload. The row is purged not earlier, and not much
    // later.
    expect(elapsed).toBeGreaterThanOrEqual(25 * HOUR);
    expect(elapsed).toBeLessThan(25 * HOUR + 120);
    expect(pauses).toHaveLength(7);
  });

  it('whose bytes arrive at the end of the write window is kept', async () => {
    const user = newUser();
    const answer = await service.as(user).createPresignedUpload(file('late'));
    await sweepAfter(user, 24.9 * HOUR);
    expect(await rows(user)).toHaveLength(1);
    await put(answer, 'late');
    await sweepAfter(user, HOUR);
    expect(await rows(user)).toMatchObject([{ state: 'ready' }]);
    expect(await objects(user)).toHaveLength(1);
  });

  it('that is requested again gets a new write window', async () => {
    const user = newUser();
    await service.as(user).createPresignedUpload(file('again'));
    await sweepAfter(user, 24 * HOUR);
    await service.as(user).createPresignedUpload(file('again'));
    await sweepAfter(user, 2 * HOUR);
    expect(await rows(user)).toMatchObject([{ state: 'pending' }]);
  });

  it('whose key holds other bytes stays, and so do the bytes', async () => {
    const user = newUser();
    const { s3Key } = await service.as(user).createPresignedUpload(file('mine'));
    await service.bucket.write(s3Key, 'theirs');
    await sweepAfter(user, 30 * HOUR);
    await sweepAfter(user, 30 * HOUR);
    expect(await rows(user)).toMatchObject([{ state: 'pending' }]);
    expect(await objects(user)).toEqual([s3Key]);
  });
});

describe('an upload that was sent with a Content-Encoding', () => {
  const withCoding = (answer: CreatePresignedUploadResponse, bytes: string) =>
    putTo(answer.presignedUrl, { ...answer.requiredHeaders, 'Content-Encoding': 'gzip' }, bytes);

  it('stays PENDING while its URL can write, then row and object are removed', async () => {
    const user = newUser();
    const answer = await service.as(user).createPresignedUpload(file('encoded'));
    expect((await withCoding(answer, 'encoded')).status).toBe(200);
    await sweepAfter(user, 24.9 * HOUR);
    expect(await rows(user)).toMatchObject([{ state: 'pending' }]);
    expect(await objects(user)).toEqual([answer.s3Key]);
    await sweepAfter(user, HOUR);
    expect(await objects(user)).toEqual([]);
    await sweepAfter(user, 26 * HOUR);
    expect(await rows(user)).toEqual([]);
  });

  it('over a READY file takes the file out of READY, and the sweeper keeps the bytes', async () => {
    const user = newUser();
    const answer = await service.as(user).createPresignedUpload(file('ready before'));
    await put(answer, 'ready before');
    await service.as(user).listFiles({});
    await withCoding(answer, 'ready before');
    await later(user, HOUR);
    const seen = failureOf(service.as(user).getFile({ s3Key: answer.s3Key }));
    expect(await seen).toMatchObject({ reason: 'CONTENT_MISMATCH' });
    await sweepAfter(user, 30 * HOUR);
    await sweepAfter(user, 30 * HOUR);
    expect(await rows(user)).toMatchObject([{ state: 'pending' }]);
    expect(await objects(user)).toEqual([answer.s3Key]);

    const again = await service.as(user).createPresignedUpload(file('ready before'));
    expect(again).toMatchObject({ type: UploadType.NEW, s3Key: answer.s3Key });
    await put(again, 'ready before');
    expect((await service.as(user).listFiles({})).files).toHaveLength(1);
  });
});

describe('a deleted file', () => {
  it('loses its bytes after each replay of its URL, and is purged after the write window', async () => {
    const user = newUser();
    const answer = await service.as(user).createPresignedUpload(file('replayed'));
    await put(answer, 'replayed');
    await service.as(user).listFiles({});
    await service.as(user).deleteFile({ s3Key: answer.s3Key });
    expect(await objects(user)).toEqual([]);
    for (const seconds of [31, 121, 481, 1_921]) {
      expect((await put(answer, 'replayed')).status).toBe(200);
      expect(await objects(user)).toHaveLength(1);
      await sweepAfter(user, seconds);
      expect(await objects(user)).toEqual([]);
      expect(await rows(user)).toMatchObject([{ state: 'deleted' }]);
    }
    await sweepAfter(user, 24 * HOUR);
    expect(await rows(user)).toHaveLength(1);
    await put(answer, 'replayed');
    await sweepAfter(user, 2 * HOUR);
    expect(await rows(user)).toEqual([]);
    expect(await objects(user)).toEqual([]);
  });

  it('keeps its key from other content until it is purged', async () => {
    const user = newUser();
    const named = (bytes: string) => ({ ...file(bytes), filename: 'name.txt' });
    const first = await service.as(user).createPresignedUpload(named('1'));
    await service.as(user).deleteFile({ s3Key: first.s3Key });
    const second = await service.as(user).createPresignedUpload(named('2'));
    expect(second.s3Key).not.toBe(first.s3Key);
    await service.as(user).deleteFile({ s3Key: second.s3Key });
    await sweepAfter(user, 26 * HOUR);
    expect(await rows(user)).toEqual([]);
    expect((await service.as(user).createPresignedUpload(named('3'))).s3Key).toBe(first.s3Key);
  });
});

it('the sweeper never touches a READY file', async () => {
  const user = newUser();
  await put(await service.as(user).createPresignedUpload(file('ready')), 'ready');
  await service.as(user).listFiles({});
  const before = await rows(user);
  await service.app.sweeper.sweep();
  expect((await rows(user)).map((row) => row.sweep_attempts)).toEqual(
    before.map((row) => row.sweep_attempts),
  );
  expect((await service.as(user).createPresignedUpload(file('ready'))).type).toBe(UploadType.EXISTING);
});

it('a lost file is purged a day after its loss was seen, and not earlier', async () => {
  const user = newUser();
  const answer = await service.as(user).createPresignedUpload(file('gone'));
  await put(answer, 'gone');
  await service.as(user).listFiles({});
  await later(user, 40 * HOUR);
  await service.bucket.remove(answer.s3Key);
  await service
    .as(user)
    .getFile({ s3Key: answer.s3Key })
    .catch(() => undefined);
  expect(await rows(user)).toMatchObject([{ state: 'pending', lost: true }]);
  await sweepAfter(user, 23 * HOUR);
  expect(await rows(user)).toHaveLength(1);
  await sweepAfter(user, 2 * HOUR);
  expect(await rows(user)).toEqual([]);
});

it('the sweeper works through a backlog of many batches in one run', async () => {
  const user = newUser();
  await service.pool.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, url_expire_at, due_at)
     select $1, $1 || '_' || n, 'pending', 'f', 'a/b', decode(md5($1 || n), 'hex'), now() - interval '2 days', now() - interval '1 hour'
     from generate_series(1, 230) n`,
    [user],
  );
  expect(await service.app.sweeper.sweep()).toBeGreaterThanOrEqual(230);
  expect(await rows(user)).toEqual([]);
});

it('the sweeper runs by itself and updates its gauge and counters', async () => {
  // The first round comes after 2 s, and searches all of the queue. The row must be overdue by then.
  await using own = await startTestService({ SWEEP_INTERVAL_SECONDS: '4' });
  const user = newUser();
  await put(await own.as(user).createPresignedUpload(file('alone')), 'alone');
  await own.pool.query(`update files set due_at = now() - interval '90 s'`);
  let state = '';
  for (let tries = 0; state !== 'ready' && tries < 150; tries++) {
    await sleep(100);
    state = (await own.pool.query('select state from files')).rows[0].state;
  }
  expect(state).toBe('ready');
  expect(await total(own.httpUrl, 'files_swept_total', { outcome: 'verified' })).toBe(1);
  expect(await total(own.httpUrl, 'files_oldest_overdue_seconds')).toBeGreaterThanOrEqual(90);
});

it('the sweeper tries one batch while S3 is down, and keeps every row', async () => {
  await using own = await startTestService({ SWEEP_INTERVAL_SECONDS: '3600' });
  await own.pool.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, url_expire_at, due_at)
     select 'u', 'u_' || n, 'deleted', 'f', 'a/b', decode(md5('b' || n), 'hex'), now() - interval '2 days', now()
     from generate_series(1, 200) n`,
  );
  await own.bucket.stop();
  expect(await own.app.sweeper.sweep()).toBe(0);
  const { rows: counts } = await own.pool.query(
    `select count(*) filter (where sweep_attempts = 1)::int as tried, count(*)::int as kept from files`,
  );
  // One batch was tried and rescheduled. The other rows still wait.
  expect(counts).toEqual([{ tried: 50, kept: 200 }]);
}, 60_000);
