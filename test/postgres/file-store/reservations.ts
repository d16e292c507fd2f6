import { describe, expect, it } from 'vitest';
import type { Ref } from '../../harness/deadline.ts';
import {
  about,
  FIRST_PAUSE,
  filesOf,
  HOUR,
  intent,
  LARGEST,
  LIMITS,
  type Named,
  type StoreFixture,
} from './fixture.ts';

/** Tests the port `Reservations` (src/files/ports/reservations.ts), except for the cap on pending uploads. */
export function reservationsContract({
  store,
  opened,
  row,
  everything,
  liveRows,
  pending,
  ready,
  lost,
  deleted,
}: StoreFixture): void {
  describe('reserve', () => {
    it('creates a PENDING file from the intent', async () => {
      const asked = intent('x.pdf');
      const { fingerprint, ...named } = asked;
      expect(await store.reserve(asked)).toEqual({
        created: true,
        file: { ...named, fingerprint, state: 'pending', lost: false, createTime: expect.any(Date) },
      });
      expect(await row(asked)).toMatchObject({
        state: 'pending',
        url_end: about(LIMITS.urlSeconds),
        due: about(FIRST_PAUSE),
        sweep_attempts: 0,
      });
    });

    it.each([undefined, 0, 1, 2 ** 31, LARGEST, Number.MAX_SAFE_INTEGER])(
      'keeps a size of %s',
      async (size) => {
        await store.reserve(intent('x.pdf', { size }));
        expect((await store.find(intent('x.pdf')))?.size).toBe(size);
      },
    );

    it.each([`it's "quoted" \\ % _ $1.pdf`, 'naïve 文件 😀.pdf', '{a,b}.pdf', ' ', 'null'])(
      'keeps the name %s',
      async (filename) => {
        await pending(filename, { s3Key: 'key', mimeType: filename });
        expect(await store.find({ userId: 'ada', s3Key: 'key' })).toMatchObject({
          filename,
          mimeType: filename,
        });
      },
    );

    it('returns the live file with this content under its own name and key', async () => {
      const first = await pending('x.pdf', { content: 'same' });
      const again = await store.reserve(intent('y.pdf', { content: 'same', size: 9, mimeType: 'a/b' }));
      expect(again).toEqual({ created: false, file: first });
      expect(await liveRows()).toEqual(['ada_x.pdf']);
    });

    it('returns a lost file as lost, so that the caller verifies it in S3', async () => {
      const file = await lost('x.pdf');
      expect(await store.reserve(intent('x.pdf'))).toMatchObject({
        created: false,
        file: { s3Key: file.s3Key, state: 'pending', lost: true },
      });
    });

    it('renews the URL lifetime and the sweeper’s pauses of a PENDING file', async () => {
      const file = await pending('x.pdf');
      for (let i = 0; i < 3; i++) await store.reschedule(file);
      await opened.shiftTime(3_000);
      expect(await row(file)).toMatchObject({ url_end: about(600), sweep_attempts: 3 });
      await store.reserve(intent('x.pdf'));
      expect(await row(file)).toMatchObject({
        url_end: about(LIMITS.urlSeconds),
        due: about(FIRST_PAUSE),
        sweep_attempts: 0,
      });
    });

    it('never shortens the lifetime of existing URLs', async () => {
      const file = await pending('x.pdf');
      // As if a release with longer lifetimes had signed the URLs.
      await opened.shiftTime(-5 * HOUR);
      await store.reserve(intent('x.pdf'));
      expect(await row(file)).toMatchObject({ url_end: about(6 * HOUR) });
    });

    it('returns a READY file without writing its row, and whether it is fresh', async () => {
      const file = await ready('x.pdf');
      const before = await everything();
      expect(await store.reserve(intent('y.pdf', { content: 'x.pdf' }))).toEqual({ created: false, file });
      expect(file.isFresh).toBe(true);
      expect(await everything()).toEqual(before);
      await opened.shiftTime(LIMITS.verificationTtlSeconds + 1);
      expect(await store.reserve(intent('x.pdf'))).toMatchObject({
        created: false,
        file: { isFresh: false, state: 'ready' },
      });
    });

    it('gives each user a file of their own for the same key and content', async () => {
      const mine = await ready('x.pdf', { s3Key: 'key' });
      const theirs = await store.reserve(intent('x.pdf', { s3Key: 'key', userId: 'bob' }));
      expect(theirs).toMatchObject({ created: true, file: { userId: 'bob', state: 'pending' } });
      expect(await store.find(mine)).toEqual(mine);
    });

    const occupants: [string, (name: string, over: Named) => Promise<Ref>][] = [
      ['a PENDING file', pending],
      ['a READY file', ready],
      ['a lost file', lost],
      ['a tombstone', deleted],
    ];
    it.each(occupants)('refuses the key of %s with other content and changes nothing', async (_, make) => {
      await make('x.pdf', { content: 'one' });
      const before = await everything();
      expect(await store.reserve(intent('x.pdf', { content: 'other' }))).toEqual({ refused: 'key taken' });
      expect(await everything()).toEqual(before);
      // Another key is accepted.
      const other = intent('x.pdf', { content: 'other', s3Key: 'ada_x~1.pdf' });
      expect(await store.reserve(other)).toMatchObject({ created: true, file: { s3Key: 'ada_x~1.pdf' } });
    });

    it('never gives the key of a tombstone to deleted content that is uploaded again', async () => {
      await deleted('x.pdf');
      expect(await store.reserve(intent('x.pdf'))).toEqual({ refused: 'key taken' });
      expect(await store.reserve(intent('x.pdf', { s3Key: 'ada_x~1.pdf' }))).toMatchObject({
        created: true,
        file: { s3Key: 'ada_x~1.pdf' },
      });
      // The tombstone does not hide the new file from the next reserve.
      expect(await store.reserve(intent('x.pdf'))).toMatchObject({ file: { s3Key: 'ada_x~1.pdf' } });
    });

    it('creates one file when 40 calls reserve the same content at once', async () => {
      for (let round = 0; round < 5; round++) {
        const outcomes = await Promise.all(
          Array.from({ length: 40 }, (_, i) =>
            store.reserve(intent('x.pdf', { content: `${round}`, s3Key: `ada_${round}_${i}.pdf` })),
          ),
        );
        const keys = new Set(filesOf(outcomes).map(({ s3Key }) => s3Key));
        expect(keys.size).toBe(1);
        expect(outcomes.filter((one) => one.refused === undefined && one.created)).toHaveLength(1);
        // A statement may wait for the row of a concurrent call and still not see it. A retry finds the row.
        const refused = new Set(outcomes.flatMap(({ refused = [] }) => refused));
        expect([...refused].filter((why) => why !== 'contention')).toEqual([]);
        expect(await liveRows()).toHaveLength(round + 1);
      }
    });

    it('gives a key to one of 40 contents that are reserved under it at once', async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 40 }, (_, i) =>
          store.reserve(intent('x.pdf', { content: `${i}`, userId: 'ada' })),
        ),
      );
      expect(filesOf(outcomes)).toHaveLength(1);
      expect(outcomes.filter(({ refused }) => refused === 'key taken')).toHaveLength(39);
    });

    it('returns an existing file or a refusal while other calls delete and create the file', async () => {
      let key = 0;
      const creating = async () => {
        for (let i = 0; i < 30; i++) {
          const made = await store.reserve(intent('x.pdf', { s3Key: `ada_${key++}` }));
          if (made.refused === undefined) expect(made.file.fingerprint).toBe(intent('x.pdf').fingerprint);
          else expect(made).toEqual({ refused: 'contention' });
        }
      };
      const deleting = async () => {
        for (let i = 0; i < 30; i++) {
          for (const s3Key of await liveRows()) await store.markDeleted({ userId: 'ada', s3Key });
          // Otherwise the cancelled uploads would reach the cap on pending uploads. The rows are locked in one
          // order, and locked rows are skipped, because the store releases several slots in one statement and
          // could wait for this statement.
          await opened.pool.query(
            `update files set url_expire_at = now() where s3_key in
               (select s3_key from files where state = 'deleted' order by s3_key for update skip locked)`,
          );
        }
      };
      await Promise.all([creating(), creating(), creating(), deleting(), deleting()]);
      expect((await liveRows()).length).toBeLessThanOrEqual(1);
    });
  });

  describe('updateIntent', () => {
    const newer = intent('newer.pdf', { s3Key: 'ada_x.pdf', mimeType: 'image/png', size: LARGEST });

    it('sets the name, type and size of a PENDING file', async () => {
      const before = await pending('x.pdf');
      await store.updateIntent(newer);
      const { filename, mimeType, size } = newer;
      expect(await store.find(newer)).toEqual({ ...before, filename, mimeType, size });
      await store.updateIntent({ ...newer, size: undefined });
      expect((await store.find(newer))?.size).toBeUndefined();
    });

    it('remembers that the type has changed, also when the first type is announced again', async () => {
      const { mimeType } = await pending('x.pdf');
      await store.updateIntent({ ...newer, mimeType });
      expect(await store.hasSeveralTypes(newer)).toBe(false);
      await store.updateIntent(newer);
      await store.updateIntent({ ...newer, mimeType });
      expect(await store.find(newer)).toMatchObject({ mimeType });
      expect(await store.hasSeveralTypes(newer)).toBe(true);
    });

    it('makes a lost file an ordinary PENDING one', async () => {
      await lost('x.pdf');
      await store.updateIntent(newer);
      expect(await store.find(newer)).toMatchObject({ state: 'pending', lost: false });
    });

    it.each<[string, () => Promise<unknown>]>([
      ['READY', () => ready('x.pdf')],
      ['deleted', () => deleted('x.pdf')],
      ['unknown', async () => undefined],
    ])('changes nothing when it is %s', async (_, make) => {
      await make();
      const before = await everything();
      await store.updateIntent(newer);
      expect(await everything()).toEqual(before);
    });
  });
}
