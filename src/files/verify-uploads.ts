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

/** The share of the call's remaining time for the verifications. The rest is for the answer. */
export const VERIFICATIONS_SHARE = 0.8;

export interface VerifiedUploads {
  /** The outcome of each upload that S3 has told about. */
  outcomes: ReadonlyMap<S3Key, Verification>;
  /** How many uploads were not verified, because the time was over or S3 did not tell. */
  unverified: number;
}

/**
 * Verifies pending uploads. If S3 or the store fails, this does not throw, because the call can answer with what was
 * known before.
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

/** S3 may refuse to tell about an object, for example until a scanner has tagged it. The bytes may be there. */
function tells(verification: Verification): boolean {
  return verification.outcome !== 'refused' || verification.unacceptable;
}
