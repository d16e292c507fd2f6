import type { Deadline } from './deadline.ts';
import type { PendingFile, ReadyFile } from './file.ts';
import { isOfParts } from './fingerprint.ts';
import { type LookPorts, look } from './look.ts';
import type { DueFile, FileRef, FileStore, MultipartStore, ObjectStore } from './ports.ts';
import { abortUploads, removeBytes } from './remove-bytes.ts';

export interface SweepPorts extends LookPorts {
  store: Pick<FileStore, 'postpone' | 'forget' | 'abandon' | 'markClean'> & LookPorts['store'];
  objects: Pick<ObjectStore, 'head' | 'remove'>;
  multipart: Pick<MultipartStore, 'uploadsOf' | 'abort'>;
}

export type Swept = 'confirmed' | 'postponed' | 'retired' | 'forgotten' | 'cleaned';

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
      return gone && due.settled && (await store.forget(due.ref, deadline))
        ? 'forgotten'
        : postpone(due.ref, deadline);
    }
    const seen = await look(ports, due.file, deadline);
    if (seen.found === 'bytes') return 'confirmed';
    // S3 holds bytes, and the row is a tombstone by now. It comes due by itself; forgotten here, it would leave them behind.
    if (seen.found === 'deleted') return 'postponed';
    // Other bytes are somebody's data, and not ours to remove: the row stays and keeps the key from reuse. An encoded
    // object came by our own URL and was never the file, so it goes, or any user could fill the bucket for good with what
    // no list shows. One that was READY before (`lost`) stays: a tool that sets the header on a whole bucket must not
    // make the sweeper remove every file. Its owner can upload it again, or delete it.
    const goes = seen.found === 'nothing' || (seen.encoded && !due.file.lost);
    const isEmpty = seen.found === 'nothing';
    if (goes && due.settled && (await retire(due.file, isEmpty, deadline))) return 'retired';
    return postpone(due.file, deadline);
  };

  /** @returns `false` when somebody asks for it again */
  async function retire(file: PendingFile, isEmpty: boolean, deadline: Deadline): Promise<boolean> {
    if (isEmpty && !isOfParts(file.fingerprint)) return store.forget(file, deadline);
    // Who resumes it at this moment does so before, and keeps its parts, or after, under another key.
    const tombstone = await store.abandon(file, deadline);
    if (tombstone !== undefined) await removeBytes(ports, tombstone, deadline);
    return tombstone !== undefined;
  }

  /** Of uploads begun by calls that saw it pending still, and died before they could take them back. */
  async function clean(file: ReadyFile, deadline: Deadline): Promise<Swept> {
    if ((await abortUploads(ports, file.s3Key, deadline)) > 0) return postpone(file, deadline);
    await store.markClean(file, deadline);
    return 'cleaned';
  }

  async function postpone(ref: FileRef, deadline: Deadline): Promise<Swept> {
    await store.postpone(ref, deadline);
    return 'postponed';
  }
}
