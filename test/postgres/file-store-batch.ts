import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Reservation, UploadIntent } from '../../src/files/ports/reservations.ts';
import { fingerprintOf } from '../../src/files/rules/fingerprint.ts';
import { parseMd5 } from '../../src/files/rules/md5.ts';
import type { S3Key } from '../../src/files/rules/s3-key.ts';
import type { StoreLimits } from '../../src/postgres/store-limits.ts';
import { ampleCall } from '../harness/deadline.ts';
import { md5 } from '../harness/random.ts';
import { STORE_LIMITS } from '../harness/store-limits.ts';
import type { OpenStore } from './open-store.ts';

const LIMITS: StoreLimits = { ...STORE_LIMITS, pendingMax: 20 };

interface Named {
  key?: string;
  content?: string | undefined;
  mimeType?: string;
  size?: number | undefined;
}

function intent(filename: string, { key = filename, content = filename, ...over }: Named = {}): UploadIntent {
  return {
    s3Key: key as S3Key,
    filename,
    mimeType: 'text/plain',
    fingerprint: fingerprintOf(parseMd5(md5(content))),
    size: 3,
    ...over,
  };
}

const SEEN = {
  size: 3,
  etag: 'etag',
  mimeType: 'text/plain',
  lastModified: new Date('2024-05-06T07:08:09Z'),
};

/** What a user has before a batch: a file in each state. */
const STATES = ['pending', 'ready', 'stale', 'lost', 'deleted', 'expired', 'without a slot'];

/** A batch for each kind of answer. */
const BATCH = [
  intent('new', { size: undefined }),
  ...STATES.map((state) => intent(state, { key: `another key of ${state}`, mimeType: 'another/type' })),
  ...STATES.map((state) => intent(state, { content: `another content of ${state}` })),
  intent(`it's "quoted" \\ % {a,b}, 文件 😀`, { mimeType: 'a/b;c="d\\"e"', size: 5 * 1024 ** 3 }),
];

/** Tests what the port `FileStore` promises about batches. */
export function batchContract(name: string, open: (limits: StoreLimits) => Promise<OpenStore>): void {
  describe(`${name}, batches`, () => {
    let opened: OpenStore;
    beforeAll(async () => {
      opened = await open(LIMITS);
    });
    afterAll(() => opened.close());
    beforeEach(async () => {
      await opened.pool.query('delete from files');
    });

    const reserveMany = (user: string, intents: UploadIntent[]) =>
      opened.port.reserveMany(ampleCall(user), intents);

    async function fileInEachState(user: string): Promise<void> {
      const { port, pool } = opened;
      const call = () => ampleCall(user);
      for (const state of STATES) {
        await port.reserve(call(), intent(state));
        const key = state as S3Key;
        if (['ready', 'stale', 'lost'].includes(state)) await port.markReady(call(), key, SEEN);
        if (state === 'lost') await port.markLost(call(), key, new Date(8.64e15));
        if (state === 'deleted') await port.markDeleted(call(), key);
      }
      const change = (state: string, columns: string) =>
        pool.query(`update files set ${columns} where user_id = $1 and s3_key = $2`, [user, state]);
      await change('stale', `verified_at = now() - interval '1 day'`);
      await change('expired', `url_expire_at = now() - interval '1 day'`);
      await change('without a slot', `url_expire_at = now() - interval '1 day', pending_slot = null`);
    }

    /** The rows of a user, without the values that differ between two users. */
    async function rowsOf(user: string): Promise<unknown[]> {
      const { rows } = await opened.pool.query(
        `select s3_key, state, filename, mime_type, fingerprint, size, lost, sweep_attempts, pending_slot is null as free,
           round(extract(epoch from url_expire_at - now()) / 60) as url_minutes,
           round(extract(epoch from due_at - now()) / 60) as due_minutes
         from files where user_id = $1 order by s3_key`,
        [user],
      );
      return rows;
    }

    const answers = (reservations: Reservation[]) =>
      reservations.map((reservation) =>
        reservation.refused === undefined
          ? { created: reservation.created, ...withoutUser(reservation.file) }
          : reservation,
      );

    it('answers and writes as the same reserves do, one after the other', async () => {
      await fileInEachState('ada');
      await fileInEachState('bob');
      const many = await reserveMany('ada', BATCH);
      // Only `reserve` can give a slot again.
      for (const [index, one] of BATCH.entries()) {
        if (many[index]?.refused !== 'contention') continue;
        expect(['another key of lost', 'another key of without a slot']).toContain(one.s3Key);
        many[index] = await opened.port.reserve(ampleCall('ada'), one);
      }
      const single: Reservation[] = [];
      for (const one of BATCH) single.push(await opened.port.reserve(ampleCall('bob'), one));
      expect(answers(many)).toEqual(answers(single));
      expect(await rowsOf('ada')).toEqual(await rowsOf('bob'));
    });

    it('changes no row of another user', async () => {
      await fileInEachState('bob');
      const before = await rowsOf('bob');
      await reserveMany('ada', BATCH);
      expect(await rowsOf('bob')).toEqual(before);
    });

    it('gives the first new files the slots that are free, and refuses the others', async () => {
      await reserveMany(
        'ada',
        Array.from({ length: 15 }, (_, i) => intent(`before ${i}`)),
      );
      const many = await reserveMany(
        'ada',
        Array.from({ length: 9 }, (_, i) => intent(`${i}`)),
      );
      const refused = { refused: 'too many pending', kind: 'single', limit: LIMITS.pendingMax };
      expect(many.slice(0, 5)).toMatchObject(Array.from({ length: 5 }, () => ({ created: true })));
      expect(many.slice(5)).toEqual(Array.from({ length: 4 }, () => refused));
    });

    it('releases the slots of uploads whose URLs have expired, if it needs them', async () => {
      await reserveMany(
        'ada',
        Array.from({ length: 18 }, (_, i) => intent(`before ${i}`)),
      );
      await opened.shiftTime(LIMITS.urlSeconds + 1);
      const many = await reserveMany(
        'ada',
        Array.from({ length: 20 }, (_, i) => intent(`${i}`)),
      );
      expect(many).toMatchObject(Array.from({ length: 20 }, () => ({ created: true })));
    });

    it('does not count slots that another session releases at the same time', async () => {
      const names = (round: string, count: number) =>
        Array.from({ length: count }, (_, i) => intent(`${round} ${i}`));
      await reserveMany('ada', names('living', 15));
      await reserveMany('ada', names('expired', 5));
      const expired = `s3_key like 'expired%'`;
      await opened.pool.query(`update files set url_expire_at = now() - interval '1 s' where ${expired}`);
      const other = await opened.pool.connect();
      await other.query('begin');
      await other.query(`update files set pending_slot = null where ${expired}`);
      const early = await reserveMany('ada', names('new', 7));
      await other.query('commit');
      other.release();
      const refusals = (retried: string) => [...Array(5).fill(retried), ...Array(2).fill('too many pending')];
      expect(early.map(({ refused }) => refused)).toEqual(refusals('contention'));
      const late = await reserveMany('ada', names('new', 7));
      expect(late.map(({ refused = 'created' }) => refused)).toEqual(refusals('created'));
    });

    it('creates each content once when instances run batches in different orders at the same time', async () => {
      const instances = [0, 5, 9, 13].map((by) => ({ by, port: opened.openInstance() }));
      for (let round = 0; round < 20; round++) {
        const names = Array.from({ length: LIMITS.pendingMax }, (_, i) => `${round} ${i}`);
        const rotated = (by: number) => [...names.slice(by), ...names.slice(0, by)];
        const startMs = performance.now();
        const batches = await Promise.all(
          instances.map(({ by, port }) =>
            port.reserveMany(
              ampleCall('ada'),
              // The names of one batch are the contents of another, so that each kind of conflict occurs.
              rotated(by).map((name, i) => intent(name, { content: by === 9 ? names.at(-1 - i) : name })),
            ),
          ),
        );
        // A deadlock ends after a second.
        expect(performance.now() - startMs).toBeLessThan(900);
        // The user never has more contents than slots.
        expect(batches.flat().filter(({ refused }) => refused === 'too many pending')).toEqual([]);
        const created = batches.flat().filter((one) => one.refused === undefined && one.created);
        expect(created.length).toBeGreaterThan(0);
        const { rows } = await opened.pool.query(
          `select count(*)::int as rows, count(distinct fingerprint)::int as contents from files where user_id = 'ada'`,
        );
        expect(rows[0]).toEqual({ rows: created.length, contents: created.length });
        await opened.pool.query('delete from files');
      }
    });
  });
}

function withoutUser({ userId, createTime, ...file }: Extract<Reservation, { created: boolean }>['file']) {
  const { verifiedAt, ...rest } = { verifiedAt: undefined, ...file };
  return { ...rest, hasUser: userId !== '', hasTimes: createTime instanceof Date && verifiedAt !== null };
}
