import { describe, expect, it, vi } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { startApp } from '../../src/server/app.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { passTime } from '../harness/pass-time.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';

const HOUR = 3_600;

/** Nothing listens there, so no event is acknowledged. */
const EVENTS_URL = 'http://127.0.0.1:9/events';

const service = forAllTests(() => startTestService({ SWEEP_INTERVAL_SECONDS: '3600', EVENTS_URL }));

const file = (bytes: string) => ({ filename: `${bytes}.txt`, mimeType: 'text/plain', md5: md5(bytes) });

async function rows(user: string) {
  // A lease or the first pause would end sooner than `is_rescheduled` tells.
  const { rows } = await service.pool.query(
    `select state, lost, event_due_at is not null as undelivered, due_at > now() + interval '70 s' as is_rescheduled
     from files where user_id = $1`,
    [user],
  );
  return rows;
}

/** One of the sweeper's own rounds may have leased the row. */
const becomes = (user: string, expected: object[]) =>
  vi.waitFor(async () => {
    const found = await rows(user);
    expect(found).toMatchObject(expected);
    expect(found).toHaveLength(expected.length);
  }, 10_000);

/** The sweeper's own rounds would not search for a row whose due time has become earlier. */
async function later(user: string, seconds: number): Promise<void> {
  await passTime(service.pool, seconds, user);
  await service.app.sweeper.sweep();
}

const acknowledge = (user: string) =>
  service.pool.query('update files set event_due_at = null where user_id = $1', [user]);

/** Uploads a file, removes its object, and lets a call notice the loss. Returns the key. */
async function lose(user: string, bytes: string): Promise<string> {
  const answer = await service.as(user).createPresignedUpload(file(bytes));
  const { s3Key } = answer;
  await put(answer, bytes);
  await service.as(user).getFile({ s3Key });
  await passTime(service.pool, HOUR, user);
  await service.bucket.remove(s3Key);
  await expect(service.as(user).getFile({ s3Key })).rejects.toThrow();
  expect(await rows(user)).toMatchObject([{ state: 'pending', lost: true, undelivered: true }]);
  return s3Key;
}

/** Lets a lost file expire. */
async function expire(user: string): Promise<void> {
  await later(user, 26 * HOUR);
  await becomes(user, [{ state: 'deleted', lost: true, undelivered: true }]);
}

describe('while events are on', () => {
  it('the sweeper verifies an upload a few seconds after its PUT, without any call', async () => {
    const user = newUser();
    await put(await service.as(user).createPresignedUpload(file('come')), 'come');
    await becomes(user, [{ state: 'ready', undelivered: true }]);
  });

  it('a lost file expires a day after its loss was seen, and is purged when that was acknowledged', async () => {
    const user = newUser();
    await lose(user, 'gone');
    await later(user, 23 * HOUR);
    await becomes(user, [{ state: 'pending', lost: true, is_rescheduled: true }]);
    await expire(user);
    await later(user, 30 * HOUR);
    await becomes(user, [{ state: 'deleted', is_rescheduled: true }]);
    await acknowledge(user);
    await later(user, 30 * HOUR);
    await becomes(user, []);
  });

  it('the object of a lost file that comes back after the file has expired stays', async () => {
    const user = newUser();
    const s3Key = await lose(user, 'late');
    await expire(user);
    await service.bucket.write(s3Key, 'late');
    await later(user, 60);
    await becomes(user, [{ state: 'deleted', is_rescheduled: true }]);
    await acknowledge(user);
    await later(user, 30 * HOUR);
    await becomes(user, []);
    expect(await service.bucket.read(s3Key)).toBe('late');
  });

  it('the object of a lost file that comes back after its user has deleted the file is removed', async () => {
    const user = newUser();
    const s3Key = await lose(user, 'back');
    await service.as(user).deleteFile({ s3Key });
    await service.bucket.write(s3Key, 'back');
    await later(user, 60);
    await becomes(user, [{ state: 'deleted', lost: false, is_rescheduled: true }]);
    expect(await service.bucket.read(s3Key)).toBeUndefined();
  });
});

it('a start without EVENTS_URL drops the events that were not delivered', async () => {
  await using on = await startTestService({ EVENTS_URL });
  for (const name of ['a', 'b']) {
    const answer = await on.as('ada').createPresignedUpload(file(name));
    await put(answer, name);
    await on.as('ada').getFile({ s3Key: answer.s3Key });
  }
  const undelivered = async () =>
    (await on.pool.query('select from files where event_due_at is not null')).rows.length;
  expect(await undelivered()).toBe(2);
  const { EVENTS_URL: _, ...environment } = on.environment;
  const off = await startApp(readConfig(environment), createLogger('silent'));
  await off.prepared;
  await vi.waitFor(async () => expect(await undelivered()).toBe(0), 10_000);
  await off.stop();
});
