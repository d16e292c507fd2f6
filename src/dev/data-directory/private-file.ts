import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { assertOwned, serviceUid, symbolicLinkError } from './ownership.ts';
import { printable } from './printable.ts';

/**
 * Opens a regular file of `owner` for reading, and returns its descriptor. A link is not followed. A FIFO is opened
 * without waiting for a writer, who might never come, and then refused.
 */
export function openPrivateFile(path: string, owner = serviceUid()): number {
  const descriptor = openNoFollow(path);
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) throw notRegularError(path);
    assertOwned(path, stats, owner);
    // Earlier releases left the modes to the umask.
    if ((stats.mode & 0o077) !== 0) fchmodSync(descriptor, 0o600);
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/** The text of a file of at most `maxBytes`. Undefined when there is none. */
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
        `${printable(path)} is larger than ${maxBytes} bytes, so the service has not written it. Remove it.`,
      );
    }
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}

/** Renamed into place: a crash leaves the old text or the new one, and never half of it. */
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
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ELOOP') throw symbolicLinkError(path);
    if (code === 'ENXIO') throw notRegularError(path); // a socket
    throw error;
  }
}

function notRegularError(path: string): Error {
  return new Error(`${printable(path)} is not a regular file, so the service has not written it. Remove it.`);
}
