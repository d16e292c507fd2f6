import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { ampleCall, ampleWork } from '../harness/deadline.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { type CrashFixture, openCrashFixture } from './crash-fixture.ts';
import { content, cut, History } from './crash-history.ts';
import { openPorts, type Ports } from './crash-ports.ts';

/**
 * A process may also stop for minutes between two steps and then continue, for example on a suspended or
 * migrated machine, while other processes have acted.
 */

const fixture = forAllTests(() => openCrashFixture());
let stalls: Stalls;
beforeAll(() => {
  stalls = openStalling(fixture);
});
afterAll(() => stalls.ports.close());
beforeEach(async () => {
  await fixture.ports.pool.query('delete from files');
  for (const key of await fixture.bucket.keys()) await fixture.bucket.remove(key);
  for (const upload of await fixture.bucket.uploads()) await fixture.bucket.abort(upload);
});

const document = content('report.pdf', 'the report');
const other = content('report.pdf', 'another of the same name');

/** A READY file whose last URL expired long ago. */
async function oldFile(): Promise<{ history: History; key: string }> {
  const history = new History(fixture, newUser());
  const key = await history.announceAndPut(document);
  await history.ask({ method: 'list' });
  await history.change(
    `url_expire_at = now() - interval '30 days', verified_at = now() - interval '30 days'`,
  );
  return { history, key };
}

it.each([
  ['the same content', document],
  ['other content of the same name', other],
] as const)(
  'a delete that stalls before it removes the object does not harm %s that was uploaded in the meantime',
  async (_, next) => {
    const { history, key } = await oldFile();
    const stall = stalls.before('DELETE');
    const deleting = stalls.ports.perform(history.user, { method: 'delete', s3Key: key });
    await stall.reached;
    history.deleted(key);
    await fixture.pass(61);
    await fixture.sweep();
    await history.announceAndPut(next);
    await history.ask({ method: 'list' });
    stall.end();
    expect(await deleting).toEqual({ heard: 'OK' });
    expect(await fixture.bucket.keys()).toEqual(history.uploaded());
    await fixture.settle();
    expect([...history.wrong, ...(await fixture.differences(history.uploaded()))]).toEqual([]);
  },
);

it('a verification that stalls before its commit does not change another file of the same key', async () => {
  const { history, key } = await oldFile();
  const stall = stalls.after('HEAD');
  const reading = stalls.ports.perform(history.user, { method: 'get', s3Key: key });
  await stall.reached;
  await history.ask({ method: 'delete', s3Key: key });
  await fixture.pass(61);
  await fixture.sweep();
  await history.announce(other);
  stall.end();
  expect(await reading).toEqual({ heard: 'FILE_NOT_FOUND' });
  expect((await history.ask({ method: 'create', content: other })).heard).toBe('NEW');
  await fixture.settle();
  expect([...history.wrong, ...(await fixture.differences(history.uploaded()))]).toEqual([]);
});

it('a sweeper that verifies late bytes of a file that was then deleted does not purge the tombstone early', async () => {
  const history = new History(fixture, newUser());
  const key = await history.announceAndPut(document);
  await history.change(`url_expire_at = now() - interval '25 hours', due_at = now()`);
  const [due] = await stalls.ports.store.leaseDue(ampleWork(), 1, 60);
  if (due === undefined) throw new Error('nothing is due');
  const stall = stalls.after('HEAD');
  const sweeping = stalls.ports.sweepOne(ampleCall(history.user), due);
  await stall.reached;
  await history.deleteAndDie(key);
  stall.end();
  await sweeping;
  await fixture.settle();
  expect(await fixture.differences([])).toEqual([]);
});

const film = cut('film.mp4', 'the film');

it('a begin that stalls while another call completes the file answers EXISTING and begins no upload', async () => {
  const history = new History(fixture, newUser());
  const key = await history.begin(film);
  await history.putParts(key, [1]);
  const stall = stalls.after('HEAD');
  const beginning = stalls.ports.perform(history.user, { method: 'begin', content: film });
  await stall.reached;
  await history.makeInBucket(key, film);
  stall.end();
  expect(await beginning).toEqual({ heard: 'EXISTING', s3Key: key });
  await fixture.settle();
  expect([...history.wrong, ...(await fixture.differences(history.uploaded()))]).toEqual([]);
});

it('a sweeper that stalls before it expires an upload does not harm an upload that was resumed in the meantime', async () => {
  const history = new History(fixture, newUser());
  const key = await history.begin(film);
  await history.putParts(key, [1, 2, 3]);
  await history.change(`url_expire_at = now() - interval '25 hours', due_at = now()`);
  const [due] = await stalls.ports.store.leaseDue(ampleWork(), 1, 60);
  if (due === undefined) throw new Error('nothing is due');
  const stall = stalls.after('HEAD');
  const sweeping = stalls.ports.sweepOne(ampleCall(history.user), due);
  await stall.reached;
  expect(await history.ask({ method: 'begin', content: film })).toMatchObject({ s3Key: key, missing: [] });
  stall.end();
  expect(await sweeping).toBe('rescheduled');
  expect(await history.ask({ method: 'complete', s3Key: key })).toEqual({ heard: 'file', state: 'ready' });
  await fixture.settle();
  expect([...history.wrong, ...(await fixture.differences(history.uploaded()))]).toEqual([]);
});

interface Stall {
  reached: Promise<void>;
  end(): void;
}

interface Stalls {
  ports: Ports;
  /** Stalls the next step of this kind. */
  before(step: 'DELETE'): Stall;
  after(step: 'HEAD'): Stall;
}

/** A second instance whose steps to S3 can be stalled. */
function openStalling({ servers }: CrashFixture): Stalls {
  const holds = new Map<string, () => Promise<void>>();
  const ports = openPorts(servers, {
    database: (database) => database,
    multipart: (multipart) => multipart,
    objects: (objects) => ({
      async head(call, s3Key) {
        const seen = await objects.head(call, s3Key);
        await hold('HEAD');
        return seen;
      },
      async remove(call, s3Key) {
        await hold('DELETE');
        await objects.remove(call, s3Key);
      },
    }),
  });
  async function hold(step: string): Promise<void> {
    const held = holds.get(step);
    holds.delete(step);
    await held?.();
  }
  const stall = (step: string): Stall => {
    const reached = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    holds.set(step, () => {
      reached.resolve();
      return ended.promise;
    });
    return { reached: reached.promise, end: ended.resolve };
  };
  return { ports, before: stall, after: stall };
}
