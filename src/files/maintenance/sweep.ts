import type { Deadline } from '../deadline.ts';
import type { PendingFile, ReadyFile } from '../file.ts';
import type { DueFile, FileRef, FileStore, MultipartStore, ObjectStore } from '../ports.ts';
import { abortUploads, removeBytes } from '../remove-bytes.ts';
import { isMultipart } from '../rules/fingerprint.ts';
import { type VerifyPorts, verifyObject } from '../verify-object.ts';

export interface SweepPorts extends VerifyPorts {
  store: Pick<FileStore, 'reschedule' | 'purge' | 'expireUpload' | 'clearSweep'> & VerifyPorts['store'];
  objects: Pick<ObjectStore, 'head' | 'remove'>;
  multipart: Pick<MultipartStore, 'uploadsOf' | 'abort'>;
}

export type Swept = 'verified' | 'rescheduled' | 'expired' | 'purged' | 'cleaned';

/**
 * Brings one due row a step further. Every step can be repeated and can be cut
 * short anywhere: the claim has moved the row's time ahead, so it comes due again.
 * The bytes of a READY file are never touched.
 *
 * @throws FileError *_UNAVAILABLE; the row stays and comes due again
 */
export function sweepOne(ports: SweepPorts) {
  const { store } = ports;

  return async (due: DueFile, deadline: Deadline): Promise<Swept> => {
    if (due.state === 'ready') return clean(due.file, deadline);
    if (due.state === 'deleted') {
      // Repeated until no URL can write any more: a replayed one may have.
      const gone = await removeBytes(ports, due.ref, deadline);
      return gone && due.purgeable && (await store.purge(due.ref, deadline))
        ? 'purged'
        : reschedule(due.ref, deadline);
    }
    const seen = await verifyObject(ports, due.file, deadline);
    if (seen.outcome === 'verified') return 'verified';
    // S3 holds bytes, and the row is a tombstone by now. It comes due by itself; forgotten here, it would leave them behind.
    if (seen.outcome === 'deleted') return 'rescheduled';
    // Other bytes are somebody's data, and not ours to remove: the row stays and keeps the key from reuse. An encoded
    // object came by our own URL and was never the file, so it goes, or any user could fill the bucket for good with what
    // no list shows. One that was READY before (`lost`) stays: a tool that sets the header on a whole bucket must not
    // make the sweeper remove every file. Its owner can upload it again, or delete it.
    const goes = seen.outcome === 'missing' || (seen.encoded && !due.file.lost);
    const isEmpty = seen.outcome === 'missing';
    if (goes && due.purgeable && (await expire(due.file, isEmpty, deadline))) return 'expired';
    return reschedule(due.file, deadline);
  };

  /** @returns `false` when somebody asks for it again */
  async function expire(file: PendingFile, isEmpty: boolean, deadline: Deadline): Promise<boolean> {
    if (isEmpty && !isMultipart(file.fingerprint)) return store.purge(file, deadline);
    // Who resumes it at this moment does so before, and keeps its parts, or after, under another key.
    const tombstone = await store.expireUpload(file, deadline);
    if (tombstone !== undefined) await removeBytes(ports, tombstone, deadline);
    return tombstone !== undefined;
  }

  /** Of uploads begun by calls that saw it pending still, and died before they could take them back. */
  async function clean(file: ReadyFile, deadline: Deadline): Promise<Swept> {
    if ((await abortUploads(ports, file.s3Key, deadline)) > 0) return reschedule(file, deadline);
    await store.clearSweep(file, deadline);
    return 'cleaned';
  }

  async function reschedule(ref: FileRef, deadline: Deadline): Promise<Swept> {
    await store.reschedule(ref, deadline);
    return 'rescheduled';
  }
}
