import type { Call } from '../call.ts';
import { partOf } from '../deadline.ts';
import { fileNotFound } from '../file-error.ts';
import type { FileStore } from '../ports/file-store.ts';
import type { Observer } from '../ports/observer.ts';
import { type RemovePorts, removeBytes } from '../remove-bytes.ts';
import { parseS3Key } from '../rules/s3-key.ts';

interface Ports extends RemovePorts {
  store: Pick<FileStore, 'markDeleted'>;
  observer: Observer;
}

/** The removal may take this share of the time left after the commit. If S3 takes longer, the delete still succeeds. */
const REMOVE_SHARE = 0.5;

/**
 * Deletes a file. The delete has succeeded when the row is committed with the state DELETED. The bytes are removed at
 * once if S3 answers in time. In any case, the sweeper (`../maintenance/sweeper.ts`) removes them again, until all URLs
 * that could write them have expired.
 *
 * @throws FileError INVALID_S3_KEY, FILE_NOT_FOUND, DATABASE_UNAVAILABLE
 */
export function deleteFile(ports: Ports) {
  return async (call: Call, key: string): Promise<void> => {
    const s3Key = parseS3Key(key);
    const tombstone = await ports.store.markDeleted(call, s3Key);
    if (tombstone === undefined) throw fileNotFound(s3Key);
    try {
      const removal = { ...call, deadline: partOf(call.deadline, REMOVE_SHARE) };
      await removeBytes(removal, ports, tombstone);
    } catch (error) {
      ports.observer.stepFailed('remove the bytes of a deleted file', error);
    }
  };
}
