import { describe, expect, it } from 'vitest';
import type { ReadyFile } from '../../../src/files/file.ts';
import type { Fingerprint } from '../../../src/files/rules/fingerprint.ts';
import type { Ref } from '../../harness/deadline.ts';
import { intent, LIMITS, PURGEABLE_AFTER, type StoreFixture, seen } from './fixture.ts';

/** Tests that no method shows or changes a file of another user. */
export function usersContract({
  store,
  opened,
  everything,
  pending,
  ready,
  lost,
  deleted,
}: StoreFixture): void {
  describe('another user', () => {
    /** Creates a row of Ada in each state, each old enough that every method could change it. */
    async function adasRows() {
      const files = {
        pending: await pending('pending'),
        ready: await ready('ready'),
        lost: await lost('lost'),
        deleted: await deleted('deleted'),
      };
      await opened.shiftTime(PURGEABLE_AFTER + 1);
      const there = (await store.find(files.ready)) as ReadyFile;
      return Object.values({ ...files, ready: there });
    }

    const methods: Record<
      string,
      (theirs: Ref & { filename: string; fingerprint: Fingerprint }) => Promise<unknown>
    > = {
      updateIntent: (theirs) => store.updateIntent(intent('new name', theirs)),
      find: (theirs) => store.find(theirs),
      markReady: (theirs) => store.markReady(theirs, seen()),
      markReadyMany: async (theirs) =>
        (await store.markReadyMany(theirs.userId, { [theirs.s3Key]: seen() }))[0],
      markLost: (theirs) => store.markLost({ ...(theirs as ReadyFile), verifiedAt: new Date(8.64e15) }),
      markDeleted: (theirs) => store.markDeleted(theirs),
      reschedule: (theirs) => store.reschedule(theirs),
      purge: (theirs) => store.purge(theirs),
    };
    it.each(Object.entries(methods))('cannot read or change files with %s under any key', async (_, call) => {
      const files = await adasRows();
      const before = await everything('ada');
      for (const file of files) {
        expect((await call({ ...file, userId: 'bob' })) || undefined).toBeUndefined();
        // Bob's own row under the same key must not let the call find or change Ada's file.
        await store.reserve(intent(file.filename, { s3Key: file.s3Key, userId: 'bob' }));
        await call({ ...file, userId: 'bob' });
      }
      expect(await everything('ada')).toEqual(before);
    });

    it('reserves files and slots of its own under the same keys', async () => {
      await adasRows();
      const before = await everything('ada');
      for (const { filename, s3Key } of await adasIntents()) {
        const made = await store.reserve(intent(filename, { s3Key, userId: 'bob' }));
        expect(made).toMatchObject({ created: true, file: { userId: 'bob' } });
      }
      // Beyond the cap, `explainConflict` releases expired slots. It must only release the user's own.
      for (let i = 0; i < LIMITS.pendingMax + 5; i++) await store.reserve(intent(`${i}`, { userId: 'bob' }));
      expect(await everything('ada')).toEqual(before);
    });
    const adasIntents = async () => ['pending', 'ready', 'lost', 'deleted'].map((name) => intent(name));

    it('lists no files', async () => {
      await adasRows();
      for (const after of [undefined, { lastModified: new Date(8.64e15), s3Key: 'zzz' }]) {
        const listed = await store.list({ userId: 'bob', filenamePrefix: '', after, limit: 100 }, 100);
        expect(listed).toMatchObject({ ready: [], pending: [] });
      }
    });
  });
}
