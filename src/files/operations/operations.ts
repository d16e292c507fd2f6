import type { FileStore } from '../ports/file-store.ts';
import type { MultipartStore } from '../ports/multipart-store.ts';
import type { ObjectStore } from '../ports/object-store.ts';
import type { Observer } from '../ports/observer.ts';
import type { Presigner } from '../ports/presigner.ts';
import { batchCreatePresignedUploads } from './batch-create-presigned-uploads.ts';
import { batchGetFiles } from './batch-get-files.ts';
import { completeMultipartUpload } from './complete-multipart-upload.ts';
import { createMultipartUpload } from './create-multipart-upload.ts';
import { createPresignedDownload } from './create-presigned-download.ts';
import { createPresignedParts } from './create-presigned-parts.ts';
import { createPresignedUpload } from './create-presigned-upload.ts';
import { deleteFile } from './delete-file.ts';
import { getFile } from './get-file.ts';
import { listFiles } from './list-files.ts';

/**
 * The interfaces through which the operations and the sweeper (`../maintenance/sweeper.ts`) use Postgres, S3, the log
 * and the metrics.
 */
export interface Ports {
  store: FileStore;
  objects: ObjectStore;
  multipart: MultipartStore;
  presigner: Presigner;
  observer: Observer;
}

export type FileOperations = ReturnType<typeof createOperations>;

/** The operations, one for each method of FileService in the proto. */
export function createOperations(ports: Ports, multipart: Parameters<typeof createMultipartUpload>[1]) {
  return {
    createPresignedUpload: createPresignedUpload(ports),
    batchCreatePresignedUploads: batchCreatePresignedUploads(ports),
    listFiles: listFiles(ports),
    getFile: getFile(ports),
    batchGetFiles: batchGetFiles(ports),
    deleteFile: deleteFile(ports),
    createPresignedDownload: createPresignedDownload(ports),
    createMultipartUpload: createMultipartUpload(ports, multipart),
    createPresignedParts: createPresignedParts(ports),
    completeMultipartUpload: completeMultipartUpload(ports),
  };
}
