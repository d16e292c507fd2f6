import type { Call } from './call.ts';
import type { PendingFile, ReadyFile, UserFile } from './file.ts';
import { contention, FileError } from './file-error.ts';
import type { FileStore } from './ports/file-store.ts';
import type { PendingCap, UploadIntent } from './ports/reservations.ts';
import { randomSuffix, s3Key } from './rules/s3-key.ts';
import { type VerifyPorts, verifyObject } from './verify-object.ts';

export interface ReservePorts extends VerifyPorts {
  store: Pick<FileStore, 'reserve'> & VerifyPorts['store'];
}

export type Reserved =
  /** A check within the last VERIFICATION_TTL_SECONDS (a setting) has shown that S3 holds the bytes. */
  | { status: 'exists'; file: ReadyFile }
  /**
   * It is not known that S3 holds the bytes, so they must be uploaded. `created` means that this call created the
   * file, so no earlier URL for the file can exist.
   */
  | { status: 'pending'; file: PendingFile; created: boolean };

/**
 * Finds the user's file with this content that is not deleted, or creates the file under a new key. A new file usually
 * costs one statement, and it costs no call to S3. The row is committed before a URL exists, so every object that a URL
 * can write has a row.
 *
 * @throws FileError TOO_MANY_PENDING_UPLOADS, OVERLOADED, *_UNAVAILABLE, STORAGE_REFUSED
 */
export async function reserveFile(
  call: Call,
  ports: ReservePorts,
  intent: Omit<UploadIntent, 's3Key'>,
): Promise<Reserved> {
  let suffix = '';
  let contentions = 0;
  while (Date.now() < call.deadline) {
    const plan = { ...intent, s3Key: s3Key(call.userId, intent.filename, suffix) };
    const reserved = await ports.store.reserve(call, plan);
    if (reserved.refused !== undefined) {
      if (reserved.refused === 'too many pending') throw tooManyPending(reserved);
      if (reserved.refused === 'key taken') suffix = randomSuffix();
      if (reserved.refused === 'contention') await pause(call, contentions++);
      continue;
    }
    const settled = await settle(call, ports, reserved);
    if (settled !== undefined) return settled;
  }
  throw contention();
}

const PAUSE_MAX_MS = 5;
const PAUSE_DOUBLINGS_MAX = 5;

/**
 * Waits before the next try. Most concurrent calls end within milliseconds. But another session may hold a lock on the
 * only slots that are free: without pauses, one create then ran 7,800 statements in 2.7 s.
 *
 * @param contentions how many tries had the result `contention` before: each doubles the longest pause
 */
async function pause({ deadline }: Call, contentions: number): Promise<void> {
  const pauseMs = Math.random() * PAUSE_MAX_MS * 2 ** Math.min(contentions, PAUSE_DOUBLINGS_MAX);
  await new Promise<void>((resolve) => setTimeout(resolve, Math.min(pauseMs, deadline - Date.now())));
}

/**
 * Verifies the file of a reservation if it may exist.
 *
 * @returns `undefined` if the file was READY and S3 has lost the bytes. The store now has the file as PENDING, and the
 *   next `reserve` finds it.
 */
export async function settle(
  call: Call,
  ports: VerifyPorts,
  { file, created }: { file: UserFile; created: boolean },
): Promise<Reserved | undefined> {
  const found = created ? undefined : await findVerified(call, ports, file);
  if (found !== undefined) return { status: 'exists', file: found };
  return file.state === 'pending' ? { status: 'pending', file, created } : undefined;
}

async function findVerified(call: Call, ports: VerifyPorts, file: UserFile): Promise<ReadyFile | undefined> {
  if (file.state === 'ready' && file.isFresh) return file;
  const seen = await verifyObject(call, ports, file);
  // S3 refuses to tell about the object. A PENDING file gets a new URL all the same. The object of a READY file may
  // still exist, so the call fails, and the row stays READY.
  if (seen.outcome === 'refused' && file.state === 'ready') throw seen.error;
  return seen.outcome === 'verified' ? seen.file : undefined;
}

/**
 * The error has no RetryInfo, because a retry helps only after the user has uploaded something or URLs have
 * expired.
 */
export function tooManyPending({ limit, kind }: PendingCap): FileError {
  return new FileError(
    'TOO_MANY_PENDING_UPLOADS',
    `the user has too many pending uploads: ${PENDING[kind](limit)}`,
    {
      metadata: { limit: String(limit), kind },
    },
  );
}

const PENDING = {
  single: (limit: number) =>
    `the limit is ${limit} uploads with a single PUT; finish some of them, or wait until their URLs have expired (a cancelled upload counts until then)`,
  multipart: (limit: number) =>
    `the limit is ${limit} multipart uploads; complete some of them, or cancel some and wait until the URLs of their parts have expired`,
};
