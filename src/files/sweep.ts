import type { Deadline } from './deadline.ts';
import type { PendingFile } from './file.ts';
import { isOfParts } from './fingerprint.ts';
import { type LookPorts, look } from './look.ts';
import type { DueFile, FileRef, FileStore, MultipartStore, ObjectStore } from './ports.ts';
import { abortUploads, removeBytes } from './remove-bytes.ts';

export interface SweepPorts extends LookPorts {
  store: Pick<FileStore, 'postpone' | 'forget'> & LookPorts['store'];
  objects: Pick<ObjectStore, 'head' | 'remove'>;
  multipart: Pick<MultipartStore, 'uploadsOf' | 'abort'>;
}

export type Swept = 'confirmed' | 'postponed' | 'retired' | 'forgotten';

/**
 * Brings one due row a step further. Every step can be repeated and can be cut
 * short anywhere: the claim has moved the row's time ahead, so it comes due again.
 * A READY file is never touched.
 *
 * @throws FileError *_UNAVAILABLE; the row stays and comes due again
 */
export function sweepOne(ports: SweepPorts) {
  return async (due: DueFile, deadline: Deadline): Promise<Swept> => {
    if (due.state === 'deleted') {
      // Repeated until no URL can write any more: a replayed one may have.
      const clean = await removeBytes(ports, due.ref, deadline);
      return clean && due.settled && (await ports.store.forget(due.ref, deadline))
        ? 'forgotten'
        : postpone(due.ref, deadline);
    }
    const seen = await look(ports, due.file, deadline);
    if (seen.found === 'bytes') return 'confirmed';
    // S3 holds bytes, and the row is a tombstone by now. It comes due by itself; forgotten here, it would leave them behind.
    if (seen.found === 'deleted') return 'postponed';
    // Other bytes are somebody's data, and not ours to remove: the row stays and keeps the key from reuse.
    if (seen.found === 'nothing' && due.settled && (await hasNoParts(due.file, deadline))) {
      if (await ports.store.forget(due.file, deadline)) return 'retired';
    }
    return postpone(due.file, deadline);
  };

  /** An upload that is given up is aborted until S3 has none of it. */
  async function hasNoParts({ s3Key, fingerprint }: PendingFile, deadline: Deadline): Promise<boolean> {
    return !isOfParts(fingerprint) || (await abortUploads(ports, s3Key, deadline)) === 0;
  }

  async function postpone(ref: FileRef, deadline: Deadline): Promise<Swept> {
    await ports.store.postpone(ref, deadline);
    return 'postponed';
  }
}
