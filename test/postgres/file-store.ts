import { describe, expect, it, vi } from 'vitest';
import { DeadlineExceededError } from '../../src/files/deadline.ts';
import type { FileStore } from '../../src/files/ports/file-store.ts';
import type { StoreLimits } from '../../src/postgres/store-limits.ts';
import { fileReadsContract } from './file-store/file-reads.ts';
import {
  about,
  FIRST_PAUSE,
  LIMITS,
  openStoreFixture,
  PAST,
  PURGEABLE_AFTER,
  seen,
} from './file-store/fixture.ts';
import { leasesContract } from './file-store/leases.ts';
import { pendingCapContract } from './file-store/pending-cap.ts';
import { reservationsContract } from './file-store/reservations.ts';
import { sweepQueueContract } from './file-store/sweep-queue.ts';
import { transitionsContract } from './file-store/transitions.ts';
import { usersContract } from './file-store/users.ts';
import type { OpenStore } from './open-store.ts';

/** Tests every promise of the port `FileStore` (src/files/ports/file-store.ts). */
export function fileStoreContract(name: string, open: (limits: StoreLimits) => Promise<OpenStore>): void {
  describe(name, () => {
    const fixture = openStoreFixture(open);
    const { opened, store, everything, row, pending, ready, deleted } = fixture;

    reservationsContract(fixture);
    pendingCapContract(fixture);
    fileReadsContract(fixture);
    transitionsContract(fixture);
    leasesContract(fixture);
    sweepQueueContract(fixture);
    usersContract(fixture);

    it('every method throws DeadlineExceededError and changes nothing when the deadline has passed', async () => {
      const { port } = opened;
      const file = await ready('ready.pdf');
      const asked = await pending('pending.pdf');
      await opened.shiftTime(PURGEABLE_AFTER + 1);
      const before = await everything();
      const passed = { userId: 'ada', deadline: Date.now() };
      const calls: Record<keyof FileStore, Promise<unknown>> = {
        reserve: port.reserve(passed, asked),
        reserveMany: port.reserveMany(passed, [asked]),
        updateIntent: port.updateIntent(passed, { ...asked, size: 9 }),
        find: port.find(passed, file.s3Key),
        findMany: port.findMany(passed, [file.s3Key]),
        hasSeveralTypes: port.hasSeveralTypes(passed, file.s3Key),
        list: port.list(passed, { filenamePrefix: '', after: undefined, limit: 9 }, 9),
        markReady: port.markReady(passed, asked.s3Key, seen()),
        markReadyMany: port.markReadyMany(passed, new Map([[asked.s3Key, seen()]])),
        markLost: port.markLost(passed, file.s3Key, file.verifiedAt),
        markDeleted: port.markDeleted(passed, file.s3Key),
        leaseDue: port.leaseDue(passed, 9, 60),
        makeDue: port.makeDue(passed, [asked]),
        reschedule: port.reschedule(passed, asked.s3Key),
        purge: port.purge(passed, asked.s3Key),
        expireUpload: port.expireUpload(passed, asked.s3Key),
        clearSweep: port.clearSweep(passed, file.s3Key),
        findUpload: port.findUpload(passed, asked.s3Key),
        renewUpload: port.renewUpload(passed, asked.s3Key),
        setUploadId: port.setUploadId(passed, asked.s3Key, 'id', undefined),
        findOldestDue: port.findOldestDue(passed),
      };
      for (const [name, call] of Object.entries(calls)) {
        await expect(call, name).rejects.toBeInstanceOf(DeadlineExceededError);
      }
      expect(await everything()).toEqual(before);
    });

    it('stores Postgres’s time in every row even if this machine’s clock is wrong', async () => {
      vi.useFakeTimers({ toFake: ['Date'], now: new Date('2001-01-01T00:00:00Z') });
      const file = await pending('x.pdf');
      const { lastModified } = (await store.markReady(file, seen())) ?? {};
      expect(lastModified).toEqual(PAST);
      const other = await deleted('y.pdf');
      const { rows } = await opened.pool.query<{ made: number; verified: number }>(
        `select extract(epoch from now() - create_time)::float8 as made, extract(epoch from now() - verified_at)::float8 as verified
         from files where s3_key = $1`,
        [file.s3Key],
      );
      expect(rows).toEqual([{ made: about(0), verified: about(0) }]);
      expect(await row(other)).toMatchObject({ due: about(FIRST_PAUSE), url_end: about(LIMITS.urlSeconds) });
      expect(await store.find(file)).toMatchObject({ isFresh: true });
    });
  });
}
