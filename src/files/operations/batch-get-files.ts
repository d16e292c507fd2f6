import type { Call } from '../call.ts';
import type { UserFile } from '../file.ts';
import { FileError } from '../file-error.ts';
import { parseBatch, parseS3Keys } from '../rules/batch.ts';
import { type GetFilePorts, getFile } from './get-file.ts';

export interface FoundFiles {
  files: UserFile[];
  /** How many of the files are PENDING only because this call could not verify them. */
  unverifiedUploads: number;
}

/**
 * Returns the files that exist, in the order of the keys.
 *
 * @throws FileError INVALID_BATCH_SIZE, INVALID_S3_KEY, DATABASE_UNAVAILABLE
 */
export function batchGetFiles(ports: GetFilePorts) {
  const getOne = getFile(ports);
  return async (call: Call, keys: readonly string[]): Promise<FoundFiles> => {
    const files: UserFile[] = [];
    for (const s3Key of new Set(parseS3Keys(parseBatch('s3_keys', keys)))) {
      try {
        files.push(await getOne(call, s3Key));
      } catch (error) {
        if (!(error instanceof FileError && error.reason === 'FILE_NOT_FOUND')) throw error;
      }
    }
    return { files, unverifiedUploads: 0 };
  };
}
