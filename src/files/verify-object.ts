import type { Deadline } from './deadline.ts';
import type { ReadyFile, StoredObject, UserFile } from './file.ts';
import type { FileStore, ObjectStore, Observer } from './ports.ts';
import { changesBytes } from './rules/content-encoding.ts';
import { areComparable } from './rules/fingerprint.ts';

export interface VerifyPorts {
  store: Pick<FileStore, 'markReady' | 'markLost'>;
  objects: Pick<ObjectStore, 'head'>;
  observer: Observer;
}

export type Verification =
  | { outcome: 'verified'; file: ReadyFile }
  /** S3 has no such object. */
  | { outcome: 'missing' }
  /**
   * S3 has an object, and it is not this file. Never READY. `encoded`: the object has the announced bytes, and a
   * Content-Encoding that makes clients deliver others. The holder of an upload URL can add that header.
   */
  | { outcome: 'mismatch'; encoded: boolean }
  /** The file was deleted while S3 was asked. */
  | { outcome: 'deleted' };

/**
 * Asks S3 whether it holds a file's bytes, and writes down what it says. The
 * only way by which a file becomes READY.
 *
 * @throws FileError STORAGE_UNAVAILABLE, DATABASE_UNAVAILABLE; the row is then as it was
 */
export async function verifyObject(
  ports: VerifyPorts,
  file: UserFile,
  deadline: Deadline,
): Promise<Verification> {
  const object = await ports.objects.head(file.s3Key, deadline);
  if (object !== undefined && holdsBytesOf(file, object)) {
    const ready = await ports.store.markReady(file, object, deadline);
    return ready === undefined ? { outcome: 'deleted' } : { outcome: 'verified', file: ready };
  }
  if (object !== undefined) ports.observer.contentMismatch(file, object);
  if (file.state === 'ready') await ports.store.markLost(file, deadline);
  return object === undefined
    ? { outcome: 'missing' }
    : { outcome: 'mismatch', encoded: hasContentOf(file, object) };
}

/**
 * Whether clients that read the object get the announced bytes. Download URLs override Content-Encoding, but other readers
 * of the bucket obey it. So a file stays a mismatch until its owner repeats the PUT without that header, even when it was
 * READY before.
 */
export function holdsBytesOf(file: UserFile, object: StoredObject): boolean {
  return hasContentOf(file, object) && !changesBytes(object.contentEncoding);
}

/**
 * Only URLs that bind the MD5 can write to a key, so what is there is right; an
 * ETag or a size that says otherwise means that somebody else wrote into the bucket.
 */
function hasContentOf(file: UserFile, { fingerprint, size }: StoredObject): boolean {
  if (fingerprint !== undefined && areComparable(fingerprint, file.fingerprint)) {
    return fingerprint === file.fingerprint;
  }
  return file.size === undefined || file.size === size;
}
