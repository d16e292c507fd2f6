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
  /** What is done about the findings. `adopt` makes files of objects without rows, `repair` removes the rest. */
  action: 'report' | 'repair' | 'adopt';
  /** Objects without a row, and uploads without a row, are removed only if they are older than this. */
  minAgeSeconds: number;
  /**
   * If there are more findings of one kind than this, none of that kind is repaired: so many do not come from
   * accidents with single files.
   */
  maxRepairs: number;
  onProgress: (progress: { rows: number; objects: number }) => void;
}

/** Time for one step against Postgres or S3. A step that fails ends `reconcile`, which can be repeated. */
const STEP_TIMEOUT_MS = 10_000;

/** Each step of `reconcile` is a call in the name of the file's user. */
export function callFor({ userId }: FileRef): Call {
  return { userId, deadline: Date.now() + STEP_TIMEOUT_MS };
}

/** An unfinished upload under a key of this service. */
export interface OwnedUpload extends FileRef {
  uploadId: string;
}

/** Rows of pending uploads and tombstones remove their own uploads, whatever the uploads' ids are. */
export async function isStray(ports: ReconcilePorts, ref: FileRef): Promise<boolean> {
  return !(await ports.rows.ownsUploads(callFor(ref), ref.s3Key));
}
