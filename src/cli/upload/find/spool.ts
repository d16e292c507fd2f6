import { constants } from 'node:fs';
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addAbortSignal, type Readable } from 'node:stream';

const PRIVATE = 0o600;

/**
 * Copies a stream into a temporary file and returns the open file. An upload reads its bytes twice, to hash and to
 * send them, and a stream can be read only once.
 *
 * Only this user can open the file. Its name is removed before the first byte is written, so the system frees the
 * content when the process ends, even after a crash. The variable TMPDIR chooses the disk.
 *
 * @param onBytes called with the number of bytes of each piece
 * @throws Error of the stream, or an AbortError if the signal aborts before the stream has ended
 */
export async function spool(
  stream: Readable,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<FileHandle> {
  const file = await openUnnamed();
  try {
    for await (const piece of addAbortSignal(signal, stream)) {
      await file.writeFile(piece);
      onBytes(piece.length);
    }
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** A file without a name: other processes cannot open it, and it takes no space after it is closed. */
async function openUnnamed(): Promise<FileHandle> {
  // `mkdtemp` makes a directory of mode 0700, so no other user can open the file while it still has a name.
  const folder = await mkdtemp(join(tmpdir(), 'file-service-'));
  try {
    const { O_RDWR, O_CREAT, O_EXCL } = constants;
    return await open(join(folder, 'stdin'), O_RDWR | O_CREAT | O_EXCL, PRIVATE);
  } finally {
    await rm(folder, { recursive: true });
  }
}
