/** Reads and writes small files that only their owner can open. */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { printable } from '../../text/printable.ts';
import { assertOwned, serviceUid, symbolicLinkError } from './ownership.ts';

/**
 * Opens a regular file of `owner` for reading, and returns its descriptor. Throws if the path is a symbolic link,
 * a socket or a FIFO. The open of a FIFO does not wait for a writer, because a writer might never come.
 */
export function openPrivateFile(path: string, owner = serviceUid()): number {
  const descriptor = openNoFollow(path);
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) throw notRegularError(path);
    assertOwned(path, stats, owner);
    // Earlier releases created files with the mode that the umask gave, so other users may have access.
    if ((stats.mode & 0o077) !== 0) fchmodSync(descriptor, 0o600);
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/**
 * Returns the text of the file, or undefined when the file does not exist.
 * @throws when the file has more than `maxBytes`
 */
export function readPrivateFile(path: string, maxBytes: number, owner = serviceUid()): string | undefined {
  let descriptor: number;
  try {
    descriptor = openPrivateFile(path, owner);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    if (fstatSync(descriptor).size > maxBytes) {
      throw new Error(
        `${printable(path)} is larger than ${maxBytes} bytes, so it is not a file of the service. Remove the file.`,
      );
    }
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Writes the text to a temporary file and renames it to `path`. If the process dies in between, `path` has the old
 * text or the new text, and not a part of one.
 */
export function writePrivateFile(path: string, text: string): void {
  const temporaryPath = `${path}.new`;
  rmSync(temporaryPath, { force: true });
  writeFileSync(temporaryPath, text, { mode: 0o600, flag: 'wx' });
  renameSync(temporaryPath, path);
}

function openNoFollow(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ELOOP') throw symbolicLinkError(path);
    // The error code for the open of a socket differs between systems, so the kind of the file is looked up.
    if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) throw notRegularError(path);
    throw error;
  }
}

function notRegularError(path: string): Error {
  return new Error(
    `${printable(path)} is not a regular file, so it is not a file of the service. Remove it.`,
  );
}
