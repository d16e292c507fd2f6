import type { Call } from './call.ts';
import type { Difference, ReadyFile, StoredObject, UserFile } from './file.ts';
import type { FileStore } from './ports/file-store.ts';
import type { ObjectStore } from './ports/object-store.ts';
import type { Observer } from './ports/observer.ts';
import type { SeenObject } from './ports/transitions.ts';
import { isUnacceptableKey, refusalIn } from './refusal-error.ts';
import { changesBytes } from './rules/content-encoding.ts';
import { isSameMimeType } from './rules/mime-type.ts';
import type { S3Key } from './rules/s3-key.ts';

export interface VerifyPorts {
  store: Pick<FileStore, 'markReady' | 'markLost' | 'hasSeveralTypes'>;
  objects: Pick<ObjectStore, 'head'>;
  observer: Observer;
}

export type Verification =
  | { outcome: 'verified'; file: ReadyFile }
  /** S3 has no object under the key. */
  | { outcome: 'missing' }
  /**
   * S3 has an object under the key, but the object is not this file. The file must not become READY. `encoded` means
   * that the object has the announced bytes and a Content-Encoding that makes clients deliver other bytes. The holder
   * of an upload URL can add that header.
   */
  | { outcome: 'mismatch'; encoded: boolean }
  /**
   * S3 refuses requests about this object, and answers requests about other objects. The row has not changed.
   * `unacceptable` means that the server does not accept the key, so it holds no object under the key.
   */
  | { outcome: 'refused'; error: unknown; unacceptable: boolean }
  /** The file was deleted while S3 answered. */
  | { outcome: 'deleted' };

type Examination =
  | Exclude<Verification, { outcome: 'verified' | 'deleted' }>
  /** S3 holds the bytes of the file. The row has not changed. */
  | { outcome: 'arrived'; seen: SeenObject };

/**
 * Asks S3 whether it holds a file's bytes, and commits the answer. Only this function and `verifyUploads`
 * (verify-uploads.ts) make a PENDING file READY.
 *
 * @param confirmMissing whether `missing` must be certain, because the caller then removes the row. For a READY file it
 *   must be certain in any case
 * @throws FileError STORAGE_UNAVAILABLE, STORAGE_REFUSED, DATABASE_UNAVAILABLE; the row has not changed then
 */
export async function verifyObject(
  call: Call,
  ports: VerifyPorts,
  file: UserFile,
  confirmMissing = false,
): Promise<Verification> {
  const examined = await examineObject(call, ports, file, confirmMissing);
  return examined.outcome === 'arrived' ? recordArrival(call, ports, file.s3Key, examined.seen) : examined;
}

/** Records that S3 holds the bytes of a file. */
export async function recordArrival(
  call: Call,
  { store }: { store: Pick<FileStore, 'markReady'> },
  s3Key: S3Key,
  seen: SeenObject,
): Promise<Verification> {
  const file = await store.markReady(call, s3Key, seen);
  return file === undefined ? { outcome: 'deleted' } : { outcome: 'verified', file };
}

/**
 * Does what `verifyObject` does, except for a file whose bytes S3 holds: the outcome is then `arrived`, and the caller
 * marks the file READY with the values of `seen`.
 */
export async function examineObject(
  call: Call,
  ports: VerifyPorts,
  file: UserFile,
  confirmMissing = false,
): Promise<Examination> {
  const { s3Key } = file;
  let object: StoredObject | undefined;
  try {
    object = await ports.objects.head(call, s3Key, confirmMissing || file.state === 'ready');
  } catch (error) {
    const refusal = refusalIn(error);
    if (refusal?.about !== 'object') throw error;
    return { outcome: 'refused', error, unacceptable: isUnacceptableKey(refusal) };
  }
  const difference = object && (await differenceNow(call, ports, file, object));
  if (object !== undefined && difference === undefined) {
    // If S3 only spells the announced type in another way, the row keeps the spelling that the client announced.
    const mimeType = isSameMimeType(object.mimeType, file.mimeType) ? file.mimeType : object.mimeType;
    return { outcome: 'arrived', seen: { ...object, mimeType } };
  }
  if (object !== undefined && difference !== undefined) {
    ports.observer.contentMismatch(call, s3Key, object, difference);
  }
  if (file.state === 'ready') {
    await ports.store.markLost(call, s3Key, file.verifiedAt);
    if (object === undefined) ports.observer.fileLost(call, s3Key);
  }
  return object === undefined
    ? { outcome: 'missing' }
    : { outcome: 'mismatch', encoded: difference === 'Content-Encoding' };
}

/**
 * Returns how the object differs from the file. If creates of this file announced several MIME types, the upload URL of
 * each create may have written the object with its own type. The row keeps only the last type, so an object of another
 * type is no difference then.
 */
async function differenceNow(
  call: Call,
  { store }: VerifyPorts,
  file: UserFile,
  object: StoredObject,
): Promise<Difference | undefined> {
  const difference = differenceBetween(file, object);
  const isExpected = difference === 'Content-Type' && (await store.hasSeveralTypes(call, file.s3Key));
  return isExpected ? undefined : difference;
}

/**
 * Compares an object with its file. Every upload URL signs the MD5, so S3 accepts only the right bytes at that URL.
 * Other bytes come from a writer without such a URL.
 *
 * Download URLs override Content-Encoding, but other readers of the bucket obey it. So the file stays a mismatch until
 * its owner repeats the PUT without that header, even if the file was READY before.
 *
 * Another type comes from a writer without a URL, too, if creates announced only one type. The type of a READY file
 * follows S3: the file must not leave the list because a tool has set the types of a whole bucket.
 */
export function differenceBetween(file: UserFile, object: StoredObject): Difference | undefined {
  if (!hasBytesOf(file, object)) return 'bytes';
  if (changesBytes(object.contentEncoding)) return 'Content-Encoding';
  const isAnyType = file.state === 'ready' || file.lost;
  return isAnyType || isSameMimeType(object.mimeType, file.mimeType) ? undefined : 'Content-Type';
}

/**
 * Whether the object has the bytes of the file: its size and its ETag are those of the announced content. The size
 * alone decides if S3 declares that the ETag is opaque (SSE-KMS, SSE-C). An ETag of another form, such as that of a
 * server whose ETags are no MD5s, counts as other bytes.
 */
function hasBytesOf(file: UserFile, { fingerprint, isEtagOpaque, size }: StoredObject): boolean {
  const sameSize = file.size === undefined || file.size === size;
  return sameSize && (isEtagOpaque || fingerprint === file.fingerprint);
}
