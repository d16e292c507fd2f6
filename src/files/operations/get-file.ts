import type { Call } from '../call.ts';
import type { ReadyFile, UserFile } from '../file.ts';
import { contentMismatch, fileNotFound } from '../file-error.ts';
import type { FileStore } from '../ports/file-store.ts';
import { parseS3Key } from '../rules/s3-key.ts';
import { type VerifyPorts, verifyObject } from '../verify-object.ts';

export interface GetFilePorts extends VerifyPorts {
  store: Pick<FileStore, 'find'> & VerifyPorts['store'];
}

/**
 * Returns one file in its current state. Asks S3 about a PENDING file, and about a READY file whose last
 * verification is older than the setting VERIFICATION_TTL_SECONDS.
 *
 * @throws FileError INVALID_S3_KEY, FILE_NOT_FOUND, CONTENT_MISMATCH, *_UNAVAILABLE, STORAGE_REFUSED
 */
export function getFile(ports: GetFilePorts) {
  return async (call: Call, key: string): Promise<UserFile> => {
    const s3Key = parseS3Key(key);
    const file = await ports.store.find(call, s3Key);
    if (file === undefined) throw fileNotFound(s3Key);
    if (file.state === 'ready' && file.isFresh) return file;
    return verifiedOrPending(call, ports, file);
  };
}

async function verifiedOrPending(
  call: Call,
  ports: VerifyPorts,
  file: UserFile,
): Promise<ReadyFile | UserFile> {
  const seen = await verifyObject(call, ports, file);
  if (seen.outcome === 'verified') return seen.file;
  if (seen.outcome === 'mismatch') throw contentMismatch(file.s3Key);
  // A lost file was READY, and S3 lost its object. The client cannot get the object by waiting, so the file counts
  // as not found.
  const awaited = file.state === 'pending' && !file.lost;
  // S3 refuses to tell about the object, for example until a scanner has tagged it. PENDING is then still true.
  if (seen.outcome === 'refused' && !awaited) throw seen.error;
  if (!awaited || seen.outcome === 'deleted') throw fileNotFound(file.s3Key);
  return file;
}
