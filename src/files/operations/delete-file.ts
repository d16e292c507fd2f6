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

/** Share of the time left after the commit. The delete succeeds even if S3 takes longer. */
const REMOVE_SHARE = 0.5;

/**
 * Deletes a file. The committed tombstone is the acknowledgement. The bytes are removed at once if S3 answers
 * in time. The sweeper removes them again in any case, until no URL can write them again.
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
