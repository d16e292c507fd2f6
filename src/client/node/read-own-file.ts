import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import process from 'node:process';

const WRITABLE_BY_OTHERS = 0o022;

/** Without O_NONBLOCK, opening a FIFO would wait for its writer. Windows has no such flag. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/**
 * Reads a file that only this user can have written. A path below a directory that others can write to, such as /tmp,
 * may name a file of another user.
 *
 * @returns `undefined` if there is no such file, or it is longer than `maxBytes`
 */
export async function readOwnFile(path: string, maxBytes: number): Promise<string | undefined> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, OPEN_FLAGS);
    const stats = await file.stat();
    // Windows has no such ids.
    const uid = process.geteuid?.();
    const isOwn = uid === undefined || (stats.uid === uid && (stats.mode & WRITABLE_BY_OTHERS) === 0);
    return isOwn && stats.isFile() && stats.size <= maxBytes ? await file.readFile('utf8') : undefined;
  } catch {
    return undefined;
  } finally {
    await file?.close();
  }
}
