import { sweepOne } from '../../src/files/maintenance/sweep.ts';
import { batchCreatePresignedUploads } from '../../src/files/operations/batch-create-presigned-uploads.ts';
import { batchGetFiles } from '../../src/files/operations/batch-get-files.ts';
import { completeMultipartUpload } from '../../src/files/operations/complete-multipart-upload.ts';
import { createMultipartUpload } from '../../src/files/operations/create-multipart-upload.ts';
import { createPresignedDownload } from '../../src/files/operations/create-presigned-download.ts';
import { createPresignedParts } from '../../src/files/operations/create-presigned-parts.ts';
import { createPresignedUpload } from '../../src/files/operations/create-presigned-upload.ts';
import { deleteFile } from '../../src/files/operations/delete-file.ts';
import { getFile } from '../../src/files/operations/get-file.ts';
import { listFiles } from '../../src/files/operations/list-files.ts';
import type { MultipartStore } from '../../src/files/ports/multipart-store.ts';
import type { ObjectStore } from '../../src/files/ports/object-store.ts';
import type { Database } from '../../src/postgres/connection/database.ts';
import { createFileStore } from '../../src/postgres/file-store.ts';
import type { StoreLimits } from '../../src/postgres/store-limits.ts';
import { createClient } from '../../src/s3/client.ts';
import { createMultipartStore } from '../../src/s3/multipart-uploads.ts';
import { createObjectStore } from '../../src/s3/objects.ts';
import { createSend } from '../../src/s3/send.ts';
import { createSign } from '../../src/s3/signing/sign.ts';
import { createPresigner } from '../../src/s3/urls/presign.ts';
import { pathStyle } from '../harness/path-style.ts';

interface Options {
  database: Database;
  /** The bucket, which the operations reach by path. */
  bucket: { bucket: string; endpoint: string; region: string; credentials: Credentials };
  limits: StoreLimits;
  /** The size of a part in bytes. Small parts keep the tests fast. */
  unitBytes: number;
  observer: Parameters<typeof sweepOne>[0]['observer'];
  /** Wraps the ports to S3, for tests that stop at a step. */
  wrap?: { objects(objects: ObjectStore): ObjectStore; multipart(multipart: MultipartStore): MultipartStore };
}

interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
}

/**
 * The operations of the service, connected as in src/server/app.ts, without protocols and metrics, because a
 * child process must start quickly.
 */
export function openOperations({ database, bucket, limits, unitBytes, observer, wrap }: Options) {
  const client = createClient({ ...bucket, forcePathStyle: true });
  const located = pathStyle(bucket);
  const send = createSend((_, run) => run());
  const objects = createObjectStore(client, located, send);
  const multipart = createMultipartStore(client, bucket.bucket, send);
  const lifetimes = { uploadSeconds: limits.urlSeconds, downloadSeconds: 300 };
  const ports = {
    store: createFileStore(database, limits),
    objects: wrap?.objects(objects) ?? objects,
    multipart: wrap?.multipart(multipart) ?? multipart,
    presigner: createPresigner(createSign(client, located), lifetimes),
    observer,
  };
  const partRule = { unitBytes, maxBytes: 1_000 * unitBytes, lifeSeconds: limits.multipartSeconds };
  return {
    client,
    ...ports,
    create: createPresignedUpload(ports),
    createMany: batchCreatePresignedUploads(ports),
    getMany: batchGetFiles(ports),
    list: listFiles(ports),
    get: getFile(ports),
    download: createPresignedDownload(ports),
    remove: deleteFile(ports),
    begin: createMultipartUpload(ports, partRule),
    presignParts: createPresignedParts(ports),
    complete: completeMultipartUpload(ports),
    sweepOne: sweepOne(ports),
  };
}
