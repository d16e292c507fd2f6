import { completeMultipartUpload } from '../files/operations/complete-multipart-upload.ts';
import { createMultipartUpload } from '../files/operations/create-multipart-upload.ts';
import { createPresignedDownload } from '../files/operations/create-presigned-download.ts';
import { createPresignedParts } from '../files/operations/create-presigned-parts.ts';
import { createPresignedUpload } from '../files/operations/create-presigned-upload.ts';
import { deleteFile } from '../files/operations/delete-file.ts';
import { getFile } from '../files/operations/get-file.ts';
import { listFiles } from '../files/operations/list-files.ts';
import type { FileStore } from '../files/ports/file-store.ts';
import type { MultipartStore } from '../files/ports/multipart-store.ts';
import type { ObjectStore } from '../files/ports/object-store.ts';
import type { Observer } from '../files/ports/observer.ts';
import type { Presigner } from '../files/ports/presigner.ts';
import type { FileOperations } from '../rpc/file-service.ts';

/** All that operations and the sweeper may ask of Postgres, S3, the log and the metrics. */
export interface Ports {
  store: FileStore;
  objects: ObjectStore;
  multipart: MultipartStore;
  presigner: Presigner;
  observer: Observer;
}

export function createOperations(
  ports: Ports,
  multipart: Parameters<typeof createMultipartUpload>[1],
): FileOperations {
  return {
    createPresignedUpload: createPresignedUpload(ports),
    listFiles: listFiles(ports),
    getFile: getFile(ports),
    deleteFile: deleteFile(ports),
    createPresignedDownload: createPresignedDownload(ports),
    createMultipartUpload: createMultipartUpload(ports, multipart),
    createPresignedParts: createPresignedParts(ports),
    completeMultipartUpload: completeMultipartUpload(ports),
  };
}
