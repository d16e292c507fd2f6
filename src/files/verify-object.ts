import type { Call } from './call.ts';
import type { ReadyFile, StoredObject, UserFile } from './file.ts';
import type { FileStore } from './ports/file-store.ts';
import type { ObjectStore } from './ports/object-store.ts';
import type { Observer } from './ports/observer.ts';
import { changesBytes } from './rules/content-encoding.ts';
import { areComparable } from './rules/fingerprint.ts';

export interface VerifyPorts {
  store: Pick<FileStore, 'markReady' | 'markLost'>;
  objects: Pick<ObjectStore, 'head'>;
  observer: Observer;
}

export type Verification =
  | { outcome: 'verified'; file: ReadyFile }
  /** S3 has no object under the key. */
  | { outcome: 'missing' }
  /**
   * S3 has an object under the key, but the object does not serve the bytes of this file. The file must not
   * become READY. `encoded` means that the object has the announced bytes and a Content-Encoding that makes
   * clients deliver other bytes. The holder of an upload URL can add that header.
   */
  | { outcome: 'mismatch'; encoded: boolean }
  /** The file was deleted while S3 answered. */
  | { outcome: 'deleted' };

/**
 * Asks S3 whether it holds a file's bytes, and commits the answer. Only this function makes a file READY.
 *
 * @throws FileError STORAGE_UNAVAILABLE, DATABASE_UNAVAILABLE; the row has not changed then
 */
export async function verifyObject(call: Call, ports: VerifyPorts, file: UserFile): Promise<Verification> {
  const { s3Key } = file;
  const object = await ports.objects.head(call, s3Key);
  if (object !== undefined && holdsBytesOf(file, object)) {
    const ready = await ports.store.markReady(call, s3Key, object);
    return ready === undefined ? { outcome: 'deleted' } : { outcome: 'verified', file: ready };
  }
  if (object !== undefined) ports.observer.contentMismatch(call, s3Key, object);
  if (file.state === 'ready') {
    await ports.store.markLost(call, s3Key, file.verifiedAt);
    if (object === undefined) ports.observer.fileLost(call, s3Key);
  }
  return object === undefined
    ? { outcome: 'missing' }
    : { outcome: 'mismatch', encoded: hasContentOf(file, object) };
}

/**
 * Whether clients that read the object get the announced bytes. Download URLs override Content-Encoding, but
 * other readers of the bucket obey it. So the file stays a mismatch until its owner repeats the PUT without
 * that header, even if the file was READY before.
 */
export function holdsBytesOf(file: UserFile, object: StoredObject): boolean {
  return hasContentOf(file, object) && !changesBytes(object.contentEncoding);
}

/**
 * Compares the content of file and object. Every upload URL signs the MD5, so S3 accepts only the right bytes
 * at that URL. If the ETag or the size differs, a writer without such a URL has written into the bucket.
 */
function hasContentOf(file: UserFile, { fingerprint, size }: StoredObject): boolean {
  if (fingerprint !== undefined && areComparable(fingerprint, file.fingerprint)) {
    return fingerprint === file.fingerprint;
  }
  return file.size === undefined || file.size === size;
}
