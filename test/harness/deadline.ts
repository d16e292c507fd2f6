import type { Call, Work } from '../../src/files/call.ts';
import type { Deadline } from '../../src/files/deadline.ts';
import type { ReadyFile } from '../../src/files/file.ts';
import type { ListQuery } from '../../src/files/ports/file-reads.ts';
import type { FileStore } from '../../src/files/ports/file-store.ts';
import type { UploadIntent } from '../../src/files/ports/reservations.ts';
import type { SeenObject } from '../../src/files/ports/transitions.ts';
import type { S3Key } from '../../src/files/rules/s3-key.ts';

/**
 * A deadline for a step whose time the test does not check: 60 s, more than the step needs on any machine.
 */
const ample = (): Deadline => Date.now() + 60_000;

export const ampleCall = (userId = 'ada'): Call => ({ userId, deadline: ample() });

export const ampleWork = (): Work => ({ deadline: ample() });

export interface Ref {
  userId: string;
  s3Key: string;
}

/**
 * The store for tests that do not check deadlines: each file names the user who calls, and each call has ample
 * time. Keys are any text, because the tests also search with positions that no key has.
 */
export function patient(store: FileStore) {
  const of = ({ userId, s3Key }: Ref) => [ampleCall(userId), s3Key as S3Key] as const;
  const keyed = <Keyed extends { s3Key: string }>(value: Keyed) => ({
    ...value,
    s3Key: value.s3Key as S3Key,
  });
  return {
    reserve: (intent: OwnedIntent) => store.reserve(ampleCall(intent.userId), keyed(intent)),
    updateIntent: (intent: OwnedIntent) => store.updateIntent(ampleCall(intent.userId), keyed(intent)),
    find: (ref: Ref) => store.find(...of(ref)),
    hasSeveralTypes: (ref: Ref) => store.hasSeveralTypes(...of(ref)),
    list: ({ userId, after, ...query }: OwnedQuery, pendingLimit: number) =>
      store.list(ampleCall(userId), { ...query, after: after && keyed(after) }, pendingLimit),
    markReady: (ref: Ref, seen: SeenObject) => store.markReady(...of(ref), seen),
    markReadyMany: (userId: string, seen: Record<string, SeenObject>) =>
      store.markReadyMany(ampleCall(userId), new Map(Object.entries(seen) as [S3Key, SeenObject][])),
    markLost: (file: ReadyFile) => store.markLost(...of(file), file.verifiedAt),
    markDeleted: (ref: Ref) => store.markDeleted(...of(ref)),
    expireUpload: (ref: Ref) => store.expireUpload(...of(ref)),
    clearSweep: (ref: Ref) => store.clearSweep(...of(ref)),
    findUpload: (ref: Ref) => store.findUpload(...of(ref)),
    renewUpload: (ref: Ref) => store.renewUpload(...of(ref)),
    setUploadId: (ref: Ref, uploadId: string, before: string | undefined) =>
      store.setUploadId(...of(ref), uploadId, before),
    leaseDue: (limit: number, leaseSeconds: number) => store.leaseDue(ampleWork(), limit, leaseSeconds),
    makeDue: (refs: Ref[]) => store.makeDue(ampleWork(), refs.map(keyed)),
    reschedule: (ref: Ref) => store.reschedule(...of(ref)),
    purge: (ref: Ref) => store.purge(...of(ref)),
    oldestOverdueSeconds: async () => (await store.findOldestDue(ampleWork())).overdueSeconds,
  };
}

export type PatientStore = ReturnType<typeof patient>;
export type OwnedIntent = Omit<UploadIntent, 's3Key'> & Ref;
interface OwnedQuery extends Omit<ListQuery, 'after'> {
  userId: string;
  after: { lastModified: Date; s3Key: string } | undefined;
}
