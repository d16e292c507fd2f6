import { FileError } from '../file-error.ts';

/** The most bytes that S3 accepts in one PUT: 5 GiB (Amazon S3 User Guide, "Uploading objects"). */
const SINGLE_PUT_MAX_BYTES = 5 * 1024 ** 3;

/** @throws FileError INVALID_SIZE, FILE_TOO_LARGE */
export function parseUploadSize(size: bigint | undefined): number | undefined {
  if (size === undefined) return undefined;
  if (size < 0n) throw new FileError('INVALID_SIZE', 'size must not be negative', { field: 'size' });
  if (size > SINGLE_PUT_MAX_BYTES) {
    throw new FileError(
      'FILE_TOO_LARGE',
      `size must be at most ${SINGLE_PUT_MAX_BYTES} bytes (5 GiB), because S3 accepts no larger PUT; CreateMultipartUpload accepts larger files`,
      {
        field: 'size',
        metadata: { limit_bytes: String(SINGLE_PUT_MAX_BYTES), use_rpc: 'CreateMultipartUpload' },
      },
    );
  }
  return Number(size);
}
