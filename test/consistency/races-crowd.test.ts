import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { FileError } from '../../src/files/file-error.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { LONG } from '../harness/long-form.ts';
import { newUser } from '../harness/random.ts';
import { answered, openRacesFixture, times, upload } from './races-fixture.ts';

const CLIENTS = 32;
const NAMES = Array.from({ length: 10 }, (_, i) => `name ${i}.txt`);
const CONTENTS = Array.from({ length: 14 }, (_, i) => `content number ${i}`);
const ROUNDS = LONG ? 7 : 1;
const ACTIONS = LONG ? 60 : 20;

const fixture = forAllTests(() => openRacesFixture(3));

const counts = { actions: 0, uploads: 0, deletes: 0, existing: 0, lists: 0, sweeps: 0, kept: 0 };

it('table and bucket agree after 32 clients of three users share ten names on three instances with sweepers', {
  timeout: 600_000,
}, async () => {
  for (let round = 0; round < ROUNDS; round++) await crowd();
  const summary = Object.entries(counts).map(([what, count]) => `${count} ${what}`);
  process.stdout.write(`races of ${CLIENTS} clients: ${summary.join(', ')}\n`);
});

async function patiently(action: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof FileError) || error.reason !== 'STORAGE_UNAVAILABLE') throw error;
    }
  }
}

/** The history of one key, as its clients know it. */
interface History {
  user: string;
  content: string;
  /** S3 has said 200. */
  landed: boolean;
  deleteBegun: boolean;
  deleted: boolean;
}

async function crowd(): Promise<void> {
  // Without encoding, a key of the second user could equal a key of the first.
  const id = newUser();
  const users = [id, `${id}_name`, `${id}-2`];
  const keys = new Map<string, History>();
  let over = false;

  const any = <Value>(values: readonly Value[]): Value => {
    const value = values[Math.floor(Math.random() * values.length)];
    if (value === undefined) throw new Error('nothing to choose from');
    return value;
  };

  async function client(index: number): Promise<void> {
    const user = users[index % users.length] ?? id;
    for (let action = 0; action < ACTIONS; action++) {
      const instance = fixture.instance(Math.floor(Math.random() * fixture.instances.length));
      const dice = Math.random();
      counts.actions++;
      // S3 may not answer for a moment on a busy machine. Repeat the call, as a client does.
      if (dice < 0.45) await patiently(() => createAndUpload(instance, user));
      else if (dice < 0.65) await removeOne(instance, user);
      else if (dice < 0.85) await list(instance, user);
      else await peek(instance, user);
    }
  }

  async function createAndUpload(instance: (typeof fixture.instances)[number], user: string) {
    const content = any(CONTENTS);
    const gone = new Set([...keys].filter(([, history]) => history.deleted).map(([key]) => key));
    const answer = await instance.create(user, any(NAMES), content);
    expect(gone.has(answer.s3Key), `the key of a deleted file was handed out: ${answer.s3Key}`).toBe(false);
    const known = keys.get(answer.s3Key);
    if (known) expect(known, 'a key was given to another user or content').toMatchObject({ user, content });
    const history = known ?? { user, content, landed: false, deleteBegun: false, deleted: false };
    keys.set(answer.s3Key, history);
    if (answer.type === 'existing') {
      const bytes = await fixture.read(answer.s3Key);
      expect(bytes === content || history.deleteBegun, `EXISTING was false: ${answer.s3Key}`).toBe(true);
      counts.existing++;
      return;
    }
    // Some clients never upload.
    if (Math.random() < 0.15) return;
    expect(await upload(answer, content)).toBe(200);
    history.landed = true;
    counts.uploads++;
  }

  async function removeOne(instance: (typeof fixture.instances)[number], user: string) {
    const others = [...keys].filter(([, history]) => history.user !== user);
    if (others.length > 0 && Math.random() < 0.3) {
      const [key] = any(others);
      expect(await answered(instance.delete(user, key)), `${user} reached another's row`).toBe(
        'FILE_NOT_FOUND',
      );
      return;
    }
    const own = [...keys].filter(([, history]) => history.user === user && !history.deleted);
    if (own.length === 0) return;
    const [key, history] = any(own);
    history.deleteBegun = true;
    const outcome = await answered(instance.delete(user, key));
    // Another client of the same user may have been first.
    expect([undefined, 'FILE_NOT_FOUND']).toContain(outcome);
    history.deleted = true;
    counts.deletes++;
  }

  async function list(instance: (typeof fixture.instances)[number], user: string) {
    const before = new Map([...keys].map(([key, history]) => [key, { ...history }]));
    const files = await instance.list(user);
    const shown = new Set<string>(files.map(({ s3Key }) => s3Key));
    expect(shown.size, 'a row came twice').toBe(files.length);
    for (const key of shown) {
      expect(keys.get(key)?.user, `${user} saw another's row`).toBe(user);
      expect(before.get(key)?.deleted ?? false, `${key} was deleted before the list began`).toBe(false);
    }
    for (const [key, history] of before) {
      const mustShow = history.user === user && history.landed && keys.get(key)?.deleteBegun === false;
      if (mustShow) expect(shown.has(key), `an acknowledged upload is not listed: ${key}`).toBe(true);
    }
    counts.lists++;
  }

  /** Reads a random key of any user. */
  async function peek(instance: (typeof fixture.instances)[number], user: string) {
    if (keys.size === 0) return;
    const [key, { user: owner, content, deleted }] = any([...keys]);
    const outcome = await answered(instance.download(user, key));
    if (owner !== user || deleted) expect(outcome, `${user} saw another's row`).toBe('FILE_NOT_FOUND');
    if (typeof outcome === 'string') return;
    const response = await fetch(outcome.download.url);
    const bytes = await response.text();
    const gone = response.status === 404 && keys.get(key)?.deleteBegun === true;
    expect(gone || bytes === content, `${key} holds other bytes`).toBe(true);
  }

  /** All rows are due all the time, so every step of the sweeper meets every step of the clients. */
  async function sweepers(): Promise<void> {
    const untilOver = async (run: () => Promise<unknown>) => {
      while (!over) {
        await run();
        await sleep(100);
      }
    };
    await Promise.all([
      untilOver(() => fixture.pool.query('update files set due_at = now() where due_at is not null')),
      ...fixture.instances.map((instance) =>
        untilOver(async () => {
          await instance.sweep();
          counts.sweeps++;
        }),
      ),
    ]);
  }

  const sweeping = sweepers();
  await times(CLIENTS, client).finally(() => {
    over = true;
  });
  await sweeping;

  await fixture.settle();
  expect(fixture.errors).toEqual([]);
  const rows = await fixture.rows();
  const ours = new Set(rows.map(({ s3_key }) => s3_key));
  const objects = await fixture.keys(id);
  expect(
    rows.filter(({ state }) => state !== 'ready'),
    'only READY is left',
  ).toEqual([]);
  expect(objects.toSorted(), 'table and bucket').toEqual([...ours].toSorted());
  for (const [key, { user, content, landed, deleteBegun, deleted }] of keys) {
    if (deleted) expect(ours.has(key), `an acknowledged delete was lost: ${key}`).toBe(false);
    if (!landed || deleteBegun) continue;
    const { download } = await fixture.instance(0).download(user, key);
    expect(await (await fetch(download.url)).text(), `an acknowledged upload was lost: ${key}`).toBe(content);
    counts.kept++;
  }
  await fixture.pool.query('delete from files');
}
