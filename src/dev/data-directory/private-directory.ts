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
import { assertOwned, serviceUid, symbolicLinkError } from './ownership.ts';
import { printable } from './printable.ts';

/** For a directory that only its owner enters. */
export const PRIVATE = 0o700;

/** For a directory through which another user must get to one further down, without seeing what is beside that one. */
export const PASSABLE = 0o711;

/**
 * What is above the files of Postgres: root's Postgres runs as another user, who must get through. 0711 is the least
 * mode that lets it.
 */
export function modeAbovePostgres(): number {
  return serviceUid() === 0 ? PASSABLE : PRIVATE;
}

/**
 * Makes the directory when missing. One that is there already must be ours, and gets the mode: earlier releases left
 * the modes to the umask.
 *
 * @throws when it is a link or no directory, belongs to another user, or can be written by another user
 */
export function privateDirectory(path: string, mode = PRIVATE): void {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) mkdirSync(path, { recursive: true, mode });
  assertOwnDirectory(path, serviceUid());
  setMode(path, () => mode);
}

/** @throws unless it is a directory, no link, of this owner, and nobody else can write it */
export function assertOwnDirectory(path: string, owner: number | undefined): void {
  const stats = lstatSync(path);
  if (stats.isSymbolicLink()) throw symbolicLinkError(path);
  if (!stats.isDirectory()) {
    throw new Error(
      `${printable(path)} is not a directory, but the service keeps its files in a directory of this name. ` +
        'Move it away, or set DATA_DIR to another directory.',
    );
  }
  assertOwned(path, stats, owner);
}

/** Through a descriptor, so that what is checked and what is changed are one directory. */
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
