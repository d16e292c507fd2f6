import type { Deadline } from './deadline.ts';
import type { PendingFile, ReadyFile, UserFile } from './file.ts';
import { FileError } from './file-error.ts';
import type { FileStore, PendingCap, UploadIntent } from './ports.ts';
import { randomSuffix, s3Key } from './rules/s3-key.ts';
import { type VerifyPorts, verifyObject } from './verify-object.ts';

export interface ReservePorts extends VerifyPorts {
  store: Pick<FileStore, 'reserve'> & VerifyPorts['store'];
}

export type Reserved =
  /** S3 was seen to hold the bytes within the trust window. */
  | { status: 'exists'; file: ReadyFile }
  /** The bytes are still to come. `created`: nobody has asked for them before. */
  | { status: 'pending'; file: PendingFile; created: boolean };

const RETRY_AFTER_MS = 1_000;

/**
 * The user's one live file of a content: found, or made under a key of its own.
 * A new one costs one statement and no call to S3. The intent is committed before
 * a URL exists, so whatever a URL can write has a row that remembers it.
 *
 * @throws FileError TOO_MANY_PENDING_UPLOADS, OVERLOADED, *_UNAVAILABLE
 */
export async function reserveFile(
  ports: ReservePorts,
  intent: Omit<UploadIntent, 's3Key'>,
  deadline: Deadline,
): Promise<Reserved> {
  let suffix = '';
  while (Date.now() < deadline) {
    const plan = { ...intent, s3Key: s3Key(intent.userId, intent.filename, suffix) };
    const reserved = await ports.store.reserve(plan, deadline);
    if (reserved.refused !== undefined) {
      if (reserved.refused === 'too many pending') throw tooManyPending(reserved);
      if (reserved.refused === 'key taken') suffix = randomSuffix();
      continue;
    }
    const { file, created } = reserved;
    const found = created ? undefined : await findVerified(ports, file, deadline);
    if (found !== undefined) return { status: 'exists', file: found };
    // READY until this look: only now can it be reserved for an upload.
    if (file.state === 'pending') return { status: 'pending', file, created };
  }
  throw contention();
}

/** Others were in the way until the time was spent. */
function contention(): FileError {
  return new FileError('OVERLOADED', 'others create and delete this very file all the while; retry', {
    retryAfterMs: RETRY_AFTER_MS,
  });
}

async function findVerified(
  ports: VerifyPorts,
  file: UserFile,
  deadline: Deadline,
): Promise<ReadyFile | undefined> {
  if (file.state === 'ready' && file.isFresh) return file;
  const seen = await verifyObject(ports, file, deadline);
  return seen.outcome === 'verified' ? seen.file : undefined;
}

/** Without a RetryInfo: it stays so until something is uploaded, or for as long as URLs live. */
function tooManyPending({ limit, kind }: PendingCap): FileError {
  return new FileError('TOO_MANY_PENDING_UPLOADS', `the limit is reached: ${PENDING[kind](limit)}`, {
    metadata: { limit: String(limit), kind },
  });
}

const PENDING = {
  single: (limit: number) =>
    `${limit} uploads of this user were asked for and not made; make some of them, or wait until their URLs have expired (a cancelled one counts until then)`,
  multipart: (limit: number) =>
    `${limit} uploads in parts of this user were begun and not completed; complete some of them, or cancel them and wait until the URLs of their parts have expired`,
};
