/**
 * `src/files/operations` has one file per RPC of `files.v1.FileService`: what the RPC does, against the
 * ports, with no word about gRPC. Steps that several operations share belong in `src/files`, rules about
 * values (names, keys, MD5s, parts) in `src/files/rules`, and work without a caller in
 * `src/files/maintenance`. A request is decoded and an answer encoded in `src/rpc`.
 */
import type { Call } from '../call.ts';
import { parseFields } from '../parse-fields.ts';
import type { FileStore } from '../ports/file-store.ts';
import type { PresignedUpload, Presigner } from '../ports/presigner.ts';
import { type ReservePorts, reserveFile } from '../reserve-file.ts';
import { parseFilename } from '../rules/filename.ts';
import { fingerprintOf } from '../rules/fingerprint.ts';
import { type Md5, parseMd5 } from '../rules/md5.ts';
import { parseMimeType } from '../rules/mime-type.ts';
import type { S3Key } from '../rules/s3-key.ts';
import { parseUploadSize } from '../rules/upload-size.ts';

export interface UploadRequest {
  filename: string;
  mimeType: string;
  md5: string;
  /** Bytes; `undefined` if the caller does not announce a size. */
  size?: bigint | undefined;
}

export type UploadAnswer =
  | { type: 'new'; s3Key: S3Key; md5: Md5; upload: PresignedUpload }
  | { type: 'existing'; s3Key: S3Key; md5: Md5 };

interface CreatePorts extends ReservePorts {
  store: Pick<FileStore, 'updateIntent'> & ReservePorts['store'];
  presigner: Pick<Presigner, 'presignUpload'>;
}

/**
 * Returns a URL for the upload, or says that S3 already holds the file.
 *
 * @throws FileError INVALID_*, FILE_TOO_LARGE, TOO_MANY_PENDING_UPLOADS, OVERLOADED, *_UNAVAILABLE, STORAGE_REFUSED
 */
export function createPresignedUpload(ports: CreatePorts) {
  return async (call: Call, request: UploadRequest): Promise<UploadAnswer> => {
    const { md5, ...intent } = parseUpload(request);
    const reserved = await reserveFile(call, ports, intent);
    const { s3Key } = reserved.file;
    if (reserved.status === 'exists') return { type: 'existing', s3Key, md5 };

    const agreed = { ...intent, s3Key };
    // If a concurrent call deletes the file now, the result is the same as if the delete came after this create. The
    // row of the deleted file stays until the URL can no longer write, and the sweeper
    // (`../maintenance/sweeper.ts`) removes all that the URL writes.
    if (!reserved.created) await ports.store.updateIntent(call, agreed);
    const upload = await ports.presigner.presignUpload({ ...agreed, md5 });
    return { type: 'new', s3Key, md5, upload };
  };
}

/** @throws FileError INVALID_*, FILE_TOO_LARGE */
export function parseUpload(request: UploadRequest) {
  const fields = parseFields({
    filename: () => parseFilename(request.filename),
    mimeType: () => parseMimeType(request.mimeType),
    md5: () => parseMd5(request.md5),
    size: () => parseUploadSize(request.size),
  });
  return { ...fields, fingerprint: fingerprintOf(fields.md5) };
}
