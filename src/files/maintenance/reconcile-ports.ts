import type { Call } from '../call.ts';
import type { FileRef } from '../file.ts';
import type { FileStore } from '../ports/file-store.ts';
import type { BucketInventory, RowInventory } from '../ports/inventories.ts';
import type { MultipartStore } from '../ports/multipart-store.ts';
import type { ObjectStore } from '../ports/object-store.ts';
import type { VerifyPorts } from '../verify-object.ts';

export interface ReconcilePorts extends VerifyPorts {
  rows: RowInventory;
  bucket: BucketInventory;
  store: Pick<FileStore, 'find'> & VerifyPorts['store'];
  objects: Pick<ObjectStore, 'head' | 'remove'>;
  multipart: Pick<MultipartStore, 'abort'>;
}

export interface ReconcileOptions {
  /**
   * The action of `reconcile` on its findings. `report` changes nothing. `adopt` changes the table only: it
   * creates rows for objects without rows, and takes READY rows without objects out of the lists. `repair`
   * also takes these rows out of the lists, and removes objects and uploads without rows.
   */
  action: 'report' | 'repair' | 'adopt';
  /** Objects without a row, and uploads without a row, are removed only if they are older than this. */
  minAgeSeconds: number;
  /**
   * If one kind of finding occurs more often than this, no finding of this kind is repaired. Accidents with single
   * files do not cause so many findings, so the cause must be another one, and a repair could do harm.
   */
  maxRepairs: number;
  /**
   * User ids, in addition to the ids in the rows. The key of a file has only the hash of a long user id.
   * These ids find the user of such a key if no row of the user exists. Default: none.
   */
  userIds?: readonly string[];
  onProgress: (progress: { rows: number; objects: number }) => void;
}

/** Time for one step against Postgres or S3. A step that fails ends `reconcile`, which can be repeated. */
const STEP_TIMEOUT_MS = 10_000;

/** Makes the `Call` for one step of `reconcile`. The step acts in the name of the file's user. */
export function callFor({ userId }: FileRef): Call {
  return { userId, deadline: Date.now() + STEP_TIMEOUT_MS };
}

/** An unfinished upload under a key of this service. */
export interface OwnedUpload extends FileRef {
  uploadId: string;
}

/**
 * Whether no row is responsible for the multipart uploads under the file's key. The row of a pending upload and a
 * tombstone (the row of a deleted file) are responsible for all uploads under their key, whatever the ids of the
 * uploads are.
 */
export async function isStray(ports: ReconcilePorts, ref: FileRef): Promise<boolean> {
  return !(await ports.rows.ownsUploads(callFor(ref), ref.s3Key));
}
