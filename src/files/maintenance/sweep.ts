import type { Call } from '../call.ts';
import type { FileRef, PendingFile } from '../file.ts';
import type { FileStore } from '../ports/file-store.ts';
import type { MultipartStore } from '../ports/multipart-store.ts';
import type { ObjectStore } from '../ports/object-store.ts';
import type { DueFile } from '../ports/sweep-queue.ts';
import type { Tombstone } from '../ports/transitions.ts';
import { abortUploads, type RemovePorts, removeBytes, removeParts } from '../remove-bytes.ts';
import { isMultipart } from '../rules/fingerprint.ts';
import type { S3Key } from '../rules/s3-key.ts';
import { type Verification, type VerifyPorts, verifyObject } from '../verify-object.ts';

interface SweepPorts extends VerifyPorts {
  store: Pick<FileStore, 'reschedule' | 'purge' | 'expireUpload' | 'clearSweep'> & VerifyPorts['store'];
  objects: Pick<ObjectStore, 'head' | 'remove'>;
  multipart: Pick<MultipartStore, 'uploadsOf' | 'abort'>;
}

/** The user and the key of a due row. */
export function refOf(due: DueFile): FileRef {
  return due.state === 'deleted' ? due.ref : due.file;
}

export type Swept = 'verified' | 'rescheduled' | 'expired' | 'purged' | 'cleaned';

/**
 * Moves one due row one step further: verifies a pending upload, or removes the bytes and then the row of a file that
 * was deleted or never arrived. Every step can be repeated, and can be interrupted anywhere: when the sweeper
 * (`sweeper.ts`) took the row, its lease moved the due time of the row ahead, so the row comes due again. The object of
 * a READY file is never touched.
 *
 * @throws FileError *_UNAVAILABLE, STORAGE_REFUSED; the row stays and comes due again
 */
export function sweepOne(ports: SweepPorts) {
  const { store } = ports;

  return async (call: Call, due: DueFile): Promise<Swept> => {
    if (due.state === 'ready') return clean(call, due.file.s3Key);
    if (due.state === 'deleted') {
      const { s3Key } = due.ref;
      const gone = await removeWhatIsLeft(call, ports, due.ref, due.lost);
      return gone && due.purgeable && (await store.purge(call, s3Key)) ? 'purged' : reschedule(call, s3Key);
    }
    const seen = await verifyObject(call, ports, due.file, due.purgeable);
    if (seen.outcome === 'verified') return 'verified';
    // S3 holds bytes, and a concurrent call has deleted the file. The row is now a tombstone (the row of a deleted
    // file) and comes due by itself. If the row were removed here, the bytes would stay in S3.
    if (seen.outcome === 'deleted') return 'rescheduled';
    const isEmpty = seen.outcome === 'missing';
    if (mayExpire(seen, due.file) && due.purgeable && (await expire(call, due.file, isEmpty)))
      return 'expired';
    return reschedule(call, due.file.s3Key);
  };

  /**
   * Ends a pending upload that S3 does not hold as announced. If S3 holds nothing, removes the row. Otherwise, or if
   * consumers of events must first learn of the end of a lost file, makes the row a tombstone and removes what S3 holds.
   *
   * @returns `false` if a concurrent call has requested the upload again, so that the file must stay
   */
  async function expire(call: Call, file: PendingFile, isEmpty: boolean): Promise<boolean> {
    const { s3Key, fingerprint, lost } = file;
    if (isEmpty && !isMultipart(fingerprint) && (await store.purge(call, s3Key))) return true;
    // The UPDATE of `expireUpload` orders this step and a concurrent resume of the upload: a resume before
    // the UPDATE keeps the upload; a resume after the UPDATE gets a new key.
    const tombstone = await store.expireUpload(call, s3Key);
    if (tombstone !== undefined) await removeWhatIsLeft(call, ports, tombstone, lost);
    return tombstone !== undefined;
  }

  /**
   * Aborts multipart uploads that calls began while the file was still PENDING and did not abort because they
   * crashed.
   */
  async function clean(call: Call, s3Key: S3Key): Promise<Swept> {
    if ((await abortUploads(call, ports, s3Key)) > 0) return reschedule(call, s3Key);
    await store.clearSweep(call, s3Key);
    return 'cleaned';
  }

  async function reschedule(call: Call, s3Key: S3Key): Promise<Swept> {
    await store.reschedule(call, s3Key);
    return 'rescheduled';
  }
}

/**
 * Removes what S3 holds for a tombstone. Each sweep does it again until no URL of the file can write any more, because
 * a client may have uploaded again with such a URL.
 *
 * The object of a lost file stays if it comes back, because no user deleted the file: the bucket's name may have been
 * wrong, or a restore of the bucket was late. `npm run reconcile -- --adopt` makes a file of the object again.
 */
function removeWhatIsLeft(
  call: Call,
  ports: RemovePorts,
  tombstone: Tombstone,
  lost: boolean,
): Promise<boolean> {
  return lost ? removeParts(call, ports, tombstone) : removeBytes(call, ports, tombstone);
}

/**
 * Whether the sweeper may remove the row of a pending file and the object under its key.
 *
 * If S3 holds bytes with another size, content or type, another writer of the bucket put them there. The service does
 * not remove these bytes, and keeps the row, so that its key is not used again.
 *
 * An object with the right bytes and a Content-Encoding came through a URL of this service, and never became the file.
 * The service removes this object. Otherwise any user could fill the bucket for ever with objects that no list shows.
 * If the file was READY before (`lost`), the object stays: a tool that sets the header on a whole bucket must not make
 * the sweeper remove every file. The owner can upload the file again, or delete it.
 *
 * If S3 refuses to tell about the object (403), the object may be a complete upload, so the row stays. If S3 does not
 * accept the key (`unacceptable`), S3 cannot hold an object under it, so the row may be removed.
 */
function mayExpire(seen: Verification, { lost }: PendingFile): boolean {
  switch (seen.outcome) {
    case 'missing':
      return true;
    case 'mismatch':
      return seen.encoded && !lost;
    case 'refused':
      return seen.unacceptable;
    default:
      return false;
  }
}
