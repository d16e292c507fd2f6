import { assertNotAbandoned, type Call } from './call.ts';
import { partOf } from './deadline.ts';
import type { PendingFile } from './file.ts';
import { inWorkers } from './in-workers.ts';
import type { FileStore } from './ports/file-store.ts';
import type { SeenObject } from './ports/transitions.ts';
import type { S3Key } from './rules/s3-key.ts';
import { examineObject, recordArrival, type Verification, type VerifyPorts } from './verify-object.ts';

/**
 * The number of verifications of one call that run at the same time, each with one request to S3. More requests would
 * only wait, because a single user gets at most 32 of the S3 client's 64 sockets.
 */
export const VERIFICATIONS_CONCURRENCY = 32;

/** The share of the call's remaining time that the verifications may take. The rest is for the answer. */
export const VERIFICATIONS_SHARE = 0.8;

/** The share of the verifications' time in which S3 is asked. The rest is for marking the last files READY. */
const S3_SHARE = 0.9;

/** The most files that are marked READY with one statement. */
const MARKED_AT_ONCE_MAX = 100;

export interface VerifyUploadsPorts extends VerifyPorts {
  store: Pick<FileStore, 'markReadyMany'> & VerifyPorts['store'];
}

export interface VerifiedUploads {
  /** The outcome of each verification that did not throw. */
  outcomes: ReadonlyMap<S3Key, Verification>;
  /** The number of uploads whose state is unknown: the time was over, S3 failed, or S3 refused to tell. */
  unverified: number;
}

/**
 * Verifies pending uploads: asks S3 whether each object has arrived. If S3 or the store fails, this function does not
 * throw, because the call can return the files as PENDING.
 *
 * @throws CallAbandonedError
 */
export async function verifyUploads(
  call: Call,
  ports: VerifyUploadsPorts,
  pending: readonly PendingFile[],
): Promise<VerifiedUploads> {
  // Marking goes on if the client disconnects, so that no answer of S3 is lost.
  const marking: Call = { userId: call.userId, deadline: partOf(call.deadline, VERIFICATIONS_SHARE) };
  const asking: Call = { ...call, deadline: partOf(marking.deadline, S3_SHARE) };
  const outcomes = new Map<S3Key, Verification>();
  const arrived = new Map<S3Key, SeenObject>();
  // A worker ends at its first error, so a failing S3 gets at most 32 requests, and the log gets one line.
  const failed = await inWorkers(asking, VERIFICATIONS_CONCURRENCY, pending, async (file) => {
    const examined = await examineObject(asking, ports, file);
    if (examined.outcome !== 'arrived') outcomes.set(file.s3Key, examined);
    else arrived.set(file.s3Key, examined.seen);
    if (arrived.size >= MARKED_AT_ONCE_MAX) await markArrived(marking, ports, takeAll(arrived), outcomes);
  });
  // Also after an error, or when the time is up: the files that S3 has told about become READY.
  const [marked] = await Promise.allSettled([markArrived(marking, ports, takeAll(arrived), outcomes)]);
  assertNotAbandoned(call);
  const failure = failed ?? (marked.status === 'rejected' ? marked : undefined);
  if (failure !== undefined) ports.observer.stepFailed('verify pending uploads', failure.reason);
  const told = [...outcomes.values()].filter(tells).length;
  return { outcomes, unverified: pending.length - told };
}

/**
 * Whether the outcome says if the bytes have arrived. S3 may refuse to tell about an object, for example until a virus
 * scanner has tagged it.
 */
function tells(verification: Verification): boolean {
  return verification.outcome !== 'refused' || verification.unacceptable;
}

/** Empties the map. @returns its former entries */
function takeAll<Key, Value>(map: Map<Key, Value>): Map<Key, Value> {
  const entries = new Map(map);
  map.clear();
  return entries;
}

/**
 * Marks files READY, several with one statement, and adds their outcomes. A file that the one statement left out is
 * deleted, or another call is changing it. Marking it by itself waits for the other call, and shows which is true.
 *
 * @throws FileError DATABASE_UNAVAILABLE; the files without an outcome may have become READY all the same
 */
async function markArrived(
  call: Call,
  ports: VerifyUploadsPorts,
  arrived: ReadonlyMap<S3Key, SeenObject>,
  outcomes: Map<S3Key, Verification>,
): Promise<void> {
  const ready = arrived.size > 1 ? await ports.store.markReadyMany(call, arrived) : [];
  for (const file of ready) outcomes.set(file.s3Key, { outcome: 'verified', file });
  const others = [...arrived].filter(([s3Key]) => !outcomes.has(s3Key));
  const failure = await inWorkers(call, VERIFICATIONS_CONCURRENCY, others, async ([s3Key, seen]) => {
    outcomes.set(s3Key, await recordArrival(call, ports, s3Key, seen));
  });
  if (failure !== undefined) throw failure.reason;
}
