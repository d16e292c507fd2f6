/**
 * `src/dev/data-directory` makes DATA_DIR safe on a machine with other users: it creates the directory,
 * checks its owner and mode and those of the directories above it, locks it for one service, and reads and
 * writes small private files in it.
 *
 * The data itself does not belong here: ../postgres/ and ../object-store/ know what they keep in DATA_DIR.
 */
import { lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { printable } from '../../text/printable.ts';
import { octal, serviceUid } from './ownership.ts';
import { assertOwnDirectory, modeAbovePostgres, privateDirectory, setMode } from './private-directory.ts';

/** The names of all entries that the service creates in DATA_DIR. */
export const LOCK_FILE = 'file-service.lock';
export const PID_FILE = 'file-service.pid';
export const READY_FILE = 'file-service.ready';
export const POSTGRES_DIRECTORY = 'postgres';
export const STORE_DIRECTORY = 's3';
const OWN_NAMES: readonly string[] = [
  LOCK_FILE,
  PID_FILE,
  `${PID_FILE}.new`,
  READY_FILE,
  `${READY_FILE}.new`,
  POSTGRES_DIRECTORY,
  STORE_DIRECTORY,
];

const WRITABLE_BY_ALL = 0o002;
const STICKY = 0o1000;

/**
 * Creates DATA_DIR if it is missing, and returns its real path, so that later steps follow no link. The given
 * path may lead through links. DATA_DIR itself may be a link if a trusted user owns it (see `trustedUids`).
 *
 * @throws when another user owns DATA_DIR, can write it, or could replace it by another directory
 */
export function openDataDirectory(given: string): string {
  const wanted = resolve(given);
  const path = withoutLink(join(trustedParent(dirname(wanted)), basename(wanted)));
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) {
    privateDirectory(path, modeAbovePostgres());
    return path;
  }
  assertOwnDirectory(path, serviceUid());
  // A directory that also has other entries, such as a home directory, keeps its mode. That is safe, because the
  // entries that the service creates in it are private.
  if (readdirSync(path).every((name) => OWN_NAMES.includes(name))) {
    setMode(path, ({ mode }) => mode & modeAbovePostgres());
  }
  return path;
}

/**
 * Returns the real path of the directory that holds DATA_DIR, and creates that directory if it is missing.
 *
 * Throws if an untrusted user (see `trustedUids`) owns that directory. Also throws if that directory or one above it
 * can be written by every user, except if it has the sticky bit and a trusted owner. In these cases another user
 * could replace DATA_DIR by another directory at any time.
 *
 * A directory that its group can write is accepted. On systems with the umask 002, the group of a user can write
 * every directory of that user, but the user is the only member of the group.
 */
function trustedParent(directory: string): string {
  if (statSync(directory, { throwIfNoEntry: false }) === undefined) {
    const path = join(trustedParent(dirname(directory)), basename(directory));
    privateDirectory(path, modeAbovePostgres());
  }
  const parent = realpathSync(directory);
  for (let above = parent; ; above = dirname(above)) {
    const { mode, uid } = statSync(above);
    const isOpen = (mode & WRITABLE_BY_ALL) !== 0;
    if (isOpen && (mode & STICKY) === 0) {
      throw new Error(
        `${printable(above)} is writable by every user (mode ${octal(mode)}, without the sticky bit), so any user ` +
          `could replace its entries. Run: chmod o-w '${printable(above)}', or set DATA_DIR to a directory elsewhere.`,
      );
    }
    if ((isOpen || above === parent) && !trustedUids().includes(uid)) {
      throw new Error(
        `${printable(above)} is owned by uid ${uid}, who could replace its entries. ` +
          'Set DATA_DIR to a directory elsewhere, for example in your home directory.',
      );
    }
    if (above === dirname(above)) return parent;
  }
}

/**
 * Returns the target if the path is a link, else the path. Throws if an untrusted user has made the link, or if it
 * leads to nothing.
 */
function withoutLink(path: string): string {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats?.isSymbolicLink() !== true) return path;
  if (!trustedUids().includes(stats.uid)) {
    throw new Error(
      `${printable(path)} is a symbolic link that uid ${stats.uid} has made, so it could lead to any directory. ` +
        'Remove the link, or set DATA_DIR to a directory elsewhere.',
    );
  }
  const target = statSync(path, { throwIfNoEntry: false }) && realpathSync(path);
  if (target === undefined) {
    throw new Error(
      `${printable(path)} is a symbolic link to nothing. Create its target, or set DATA_DIR to another directory.`,
    );
  }
  return join(trustedParent(dirname(target)), basename(target));
}

/**
 * The trusted users are root, the user of the service, and the owner of the service's code. The owner of the
 * code could change the service anyway, and root often runs the service from the git clone of another user. The
 * owner of `/` also counts as root: in a container with a user namespace, root can have another uid than 0.
 */
function trustedUids(): (number | undefined)[] {
  return [0, serviceUid(), statSync(import.meta.filename).uid, statSync('/').uid];
}
