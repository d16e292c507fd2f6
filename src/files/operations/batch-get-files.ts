import type { Call } from '../call.ts';
import type { PendingFile, UserFile } from '../file.ts';
import type { FileStore } from '../ports/file-store.ts';
import { parseBatch, parseS3Keys } from '../rules/batch.ts';
import { type VerifiedUploads, type VerifyUploadsPorts, verifyUploads } from '../verify-uploads.ts';

interface Ports extends VerifyUploadsPorts {
  store: Pick<FileStore, 'findMany'> & VerifyUploadsPorts['store'];
}

interface FoundFiles {
  files: UserFile[];
  /** How many of the files are PENDING only because this call could not verify them. */
  unverifiedUploads: number;
}

/**
 * Returns the files that exist, in the order of the keys. PENDING files are verified in S3 first, as ListFiles does.
 * READY files are returned as they were when they were last verified.
 *
 * @throws FileError INVALID_BATCH_SIZE, INVALID_S3_KEY, DATABASE_UNAVAILABLE
 */
export function batchGetFiles(ports: Ports) {
  return async (call: Call, keys: readonly string[]): Promise<FoundFiles> => {
    const s3Keys = new Set(parseS3Keys(parseBatch('s3_keys', keys)));
    const found = await ports.store.findMany(call, [...s3Keys]);
    const pending = found.filter((file) => file.state === 'pending');
    const verified = await verifyUploads(call, ports, pending);
    const byKey = new Map(found.map((file) => [file.s3Key, file]));
    const files = [...s3Keys].flatMap((s3Key) => {
      const file = byKey.get(s3Key);
      return file?.state === 'pending' ? asVerified(file, verified) : (file ?? []);
    });
    return { files, unverifiedUploads: verified.unverified };
  };
}

/**
 * Returns the file after its verification, or `[]` if it counts as not found: it was deleted meanwhile, or it is lost.
 * A lost file was READY before, and S3 no longer has its object. Waiting does not bring the object back.
 */
function asVerified(file: PendingFile, { outcomes }: VerifiedUploads): UserFile | [] {
  const seen = outcomes.get(file.s3Key);
  if (seen?.outcome === 'verified') return seen.file;
  return seen?.outcome === 'deleted' || file.lost ? [] : file;
}
