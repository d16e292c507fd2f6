import type { Call } from './call.ts';
import { partOf } from './deadline.ts';
import type { PendingFile } from './file.ts';
import { inWorkers } from './in-workers.ts';
import type { S3Key } from './rules/s3-key.ts';
import { type Verification, type VerifyPorts, verifyObject } from './verify-object.ts';

/**
 * The number of verifications of one call that run at the same time, each with one request to S3. More requests would
 * only wait, because a single user gets at most 32 of the S3 client's 64 sockets.
 */
export const VERIFICATIONS_CONCURRENCY = 32;

/** The share of the call's remaining time that the verifications may take. The rest is for the answer. */
export const VERIFICATIONS_SHARE = 0.8;

export interface VerifiedUploads {
  /** The outcome of each verification that did not throw. */
  outcomes: ReadonlyMap<S3Key, Verification>;
  /** The number of uploads whose state is unknown: the time was over, S3 failed, or S3 refused to tell. */
  unverified: number;
}

/**
 * Verifies pending uploads: asks S3 whether each object has arrived. If S3 or the store fails, this function does not
 * throw, because the call can return the files as PENDING.
 */
export async function verifyUploads(
  call: Call,
  ports: VerifyPorts,
  pending: readonly PendingFile[],
): Promise<VerifiedUploads> {
  const verification = { ...call, deadline: partOf(call.deadline, VERIFICATIONS_SHARE) };
  const outcomes = new Map<S3Key, Verification>();
  // A worker ends at its first error, so a failing S3 gets at most 32 requests, and the log gets one line.
  const failure = await inWorkers(VERIFICATIONS_CONCURRENCY, pending, async (file) => {
    outcomes.set(file.s3Key, await verifyObject(verification, ports, file));
  });
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
