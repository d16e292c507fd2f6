import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { total } from '../harness/metrics.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';
import { upload } from '../harness/upload.ts';
import { ofCephRgw, SENDERS } from './messages.ts';
import { send, TOKEN } from './send.ts';

// The interval is long, so that only hints start sweeps.
const service = forAllTests(() =>
  startTestService({ STORAGE_EVENTS_TOKEN: TOKEN, SWEEP_INTERVAL_SECONDS: '3600' }),
);

/** A hint takes a few milliseconds to have its effect. The rest is for a busy machine. */
const SOON = { timeout: 10_000, interval: 5 };

const message = (...keys: string[]) => ({
  Records: keys.flatMap((key) => (ofCephRgw(service.bucket.bucket, key) as { Records: unknown[] }).Records),
});

const rowsOf = async (user: string) =>
  (await service.pool.query('select * from files where user_id = $1 order by s3_key', [user])).rows;
const stateOf = async (user: string) => (await rowsOf(user)).map(({ state }) => state);

const sweptCount = (outcome: string) => total(service.httpUrl, 'files_swept_total', { outcome });

const announce = (user: string, content: string) =>
  service.as(user).createPresignedUpload({ filename: 'a.txt', mimeType: 'text/plain', md5: md5(content) });

describe.each(Object.entries(SENDERS))('a message of %s', (_, messageOf) => {
  it('makes an uploaded file READY without any call', async () => {
    const user = newUser();
    const s3Key = await upload(service.as(user), 'Ein Brief.txt', 'content');
    expect(await send(service, messageOf(service.bucket.bucket, s3Key))).toMatchObject({ status: 204 });
    await expect.poll(() => stateOf(user), SOON).toEqual(['ready']);
  });
});

it('a message about a key with the hash of a long user id makes the file READY', async () => {
  const user = newUser().repeat(10);
  const s3Key = await upload(service.as(user), 'a.txt', 'content');
  expect(s3Key).toMatch(/^\.sha256-[0-9a-f]{64}_a\.txt$/);
  expect(await send(service, message(s3Key))).toMatchObject({ status: 204 });
  await expect.poll(() => stateOf(user), SOON).toEqual(['ready']);
});

it('doubled and unordered messages make each file READY once', async () => {
  const user = newUser();
  const keys = await Promise.all(
    Array.from({ length: 20 }, (_, n) => upload(service.as(user), `${n}.txt`, `content ${n}`)),
  );
  const messages = Array.from({ length: 10 }, () => message(...keys.toSorted(() => Math.random() - 0.5)));
  await Promise.all(messages.map((one) => send(service, one)));
  await expect.poll(() => stateOf(user), SOON).toEqual(keys.map(() => 'ready'));
});

describe('a message is not believed', () => {
  it('if nothing was uploaded: the file stays PENDING, and only the time of its next sweep changes', async () => {
    const user = newUser();
    const begunMs = performance.now();
    const { s3Key } = await announce(user, 'content');
    const [before] = await rowsOf(user);
    const swept = await sweptCount('rescheduled');
    await send(service, message(s3Key));
    await expect.poll(() => sweptCount('rescheduled'), SOON).toBeGreaterThan(swept);
    const [{ due_at, ...after }] = await rowsOf(user);
    expect({ due_at: before.due_at, ...after }).toEqual(before);
    // The next sweep is as soon after this one as the first was after the create.
    const tookMs = performance.now() - begunMs;
    expect(Math.abs(due_at - before.due_at)).toBeLessThan(3_000 + tookMs);
  });

  it('if other bytes were stored under the key', async () => {
    const user = newUser();
    const { s3Key } = await announce(user, 'content');
    await service.bucket.write(s3Key, 'other bytes');
    await send(service, message(s3Key));
    await sleep(200);
    expect(await stateOf(user)).toEqual(['pending']);
  });

  it('about a READY file or a deleted file, whose rows do not change', async () => {
    const user = newUser();
    const client = service.as(user);
    const ready = await upload(client, 'ready.txt', 'ready');
    await client.getFile({ s3Key: ready });
    const deleted = await upload(client, 'deleted.txt', 'deleted');
    await client.deleteFile({ s3Key: deleted });
    const before = await rowsOf(user);
    expect(before.map(({ state }) => state)).toEqual(['deleted', 'ready']);
    await service.bucket.remove(ready);
    await send(service, message(ready, deleted));
    await sleep(200);
    expect(await rowsOf(user)).toEqual(before);
  });
});

it('the answer is the same for a file of any user, in any state, and for no file', async () => {
  const [ada, bob] = [newUser(), newUser()];
  const uploaded = await upload(service.as(ada), 'a.txt', 'content');
  const { s3Key: pending } = await announce(bob, 'other content');
  const ready = await upload(service.as(bob), 'ready.txt', 'ready');
  await service.as(bob).getFile({ s3Key: ready });
  const keys = [uploaded, pending, ready, `${ada}_absent.txt`, `${newUser()}_a.txt`, 'no key of the service'];
  const answers = await Promise.all(keys.map((key) => send(service, message(key))));
  for (const { status, text, headers } of answers) {
    const { date, ...others } = headers;
    expect({ status, text, others }).toEqual({
      status: 204,
      text: '',
      others: { connection: 'keep-alive', 'keep-alive': 'timeout=300' },
    });
  }
});

it('a message about one user does not change the row of another user with the same filename', async () => {
  const [ada, bob] = [newUser(), newUser()];
  await announce(ada, 'content').then((answer) => put(answer, 'content'));
  const { s3Key } = await announce(bob, 'content');
  const before = await rowsOf(ada);
  await send(service, message(s3Key));
  await sleep(100);
  expect(await rowsOf(ada)).toEqual(before);
});
