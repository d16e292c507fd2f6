/** Creates and checks directories that other users cannot write. */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  type Stats,
} from 'node:fs';
import { dirname } from 'node:path';
import { printable } from '../../text/printable.ts';
import { assertOwned, serviceUid, symbolicLinkError } from './ownership.ts';

/** Only the owner can enter the directory. */
export const PRIVATE = 0o700;

/**
 * Other users can pass through the directory to a subdirectory that they know, but cannot list its entries.
 */
const PASSABLE = 0o711;

/**
 * Returns the mode of the directories that contain the files of Postgres. If the service runs as root,
 * Postgres runs as another user, because Postgres refuses to run as root. That user must pass through these
 * directories. 0711 is the least mode that allows this.
 */
export function modeAbovePostgres(): number {
  return serviceUid() === 0 ? PASSABLE : PRIVATE;
}

/**
 * Creates the directory if it is missing. An existing directory must belong to the user of the service. Its
 * mode is set as well, because earlier releases created directories with the mode of the umask.
 *
 * @throws when the path is a link or not a directory, belongs to another user, or can be written by another
 *   user
 */
export function privateDirectory(path: string, mode = PRIVATE): void {
  if (!isThere(path)) createWithParents(path, mode);
  assertOwnDirectory(path, serviceUid());
  setMode(path, () => mode);
}

/**
 * Creates the directory and the missing directories above it. The option `recursive` of Node's `mkdir` is not used,
 * because it repeats its calls for ever where a directory exists and can contain no other: in /proc, or below the mount
 * point of an automounter.
 */
function createWithParents(path: string, mode: number): void {
  const above = dirname(path);
  if (above !== path && !isThere(above)) createWithParents(above, mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    // Another process may have created the directory.
    if (!isThere(path)) throw error;
  }
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** @throws unless the path is a directory of this owner, not a link, and no other user can write it */
export function assertOwnDirectory(path: string, owner: number | undefined): void {
  const stats = lstatSync(path);
  if (stats.isSymbolicLink()) throw symbolicLinkError(path);
  if (!stats.isDirectory()) {
    throw new Error(
      `${printable(path)} is not a directory, but the service keeps its files in a directory of this name. ` +
        'Move the file away, or set DATA_DIR to another directory.',
    );
  }
  assertOwned(path, stats, owner);
}

/**
 * Checks and changes the directory through one descriptor. With two uses of the path, another directory could
 * take the place of the checked one in between.
 */
export function setMode(path: string, modeFor: (stats: Stats) => number): void {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const stats = fstatSync(descriptor);
    assertOwned(path, stats, serviceUid());
    const mode = modeFor(stats);
    if ((stats.mode & 0o777) !== mode) fchmodSync(descriptor, mode);
  } finally {
    closeSync(descriptor);
  }
}
