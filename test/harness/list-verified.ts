import type { File } from '../../gen/files/v1/file_pb.ts';
import type { FileClient } from './upload.ts';

/**
 * The files of a user, at most 1,000, when the service has verified all pending uploads. On a busy machine one list has
 * no time for hundreds of them, and the next list verifies the rest.
 */
export async function listVerified(client: FileClient): Promise<File[]> {
  for (;;) {
    const { files, unverifiedUploads } = await client.listFiles({ pageSize: 1_000 }, { timeoutMs: 30_000 });
    if (unverifiedUploads === 0) return files;
  }
}
