import { lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { octal, serviceUid } from './ownership.ts';
import { printable } from './printable.ts';
import { assertOwnDirectory, modeAbovePostgres, privateDirectory, setMode } from './private-directory.ts';

/** What the service itself makes in DATA_DIR. */
export const LOCK_FILE = 'file-service.lock';
export const PID_FILE = 'file-service.pid';
export const POSTGRES_DIRECTORY = 'postgres';
export const STORE_DIRECTORY = 's3';
const OWN_NAMES: readonly string[] = [
  LOCK_FILE,
  PID_FILE,
  `${PID_FILE}.new`,
  POSTGRES_DIRECTORY,
  STORE_DIRECTORY,
];

const WRITABLE_BY_EVERYBODY = 0o002;
const STICKY = 0o1000;

/**
 * Makes DATA_DIR when missing, and returns its real path: no link is followed after this. The operator may give the
 * path through links, and DATA_DIR itself may be one if nobody but the operator could have made it.
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
  // A directory with other things in it, such as a home directory, keeps its mode: what we add has modes of its own.
  if (readdirSync(path).every((name) => OWN_NAMES.includes(name))) {
    setMode(path, ({ mode }) => mode & modeAbovePostgres());
  }
  return path;
}

/**
 * The real path of the directory that holds DATA_DIR, made when missing. Whoever owns that directory, or may rename
 * entries in a directory above it, can put another directory in the place of DATA_DIR at any time.
 *
 * A directory that its group can write is accepted: with a umask of 002 every directory of a user is one, and its group
 * has that user alone.
 */
function trustedParent(directory: string): string {
  if (statSync(directory, { throwIfNoEntry: false }) === undefined) {
    const path = join(trustedParent(dirname(directory)), basename(directory));
    privateDirectory(path, modeAbovePostgres());
  }
  const parent = realpathSync(directory);
  for (let above = parent; ; above = dirname(above)) {
    const { mode, uid } = statSync(above);
    const isOpen = (mode & WRITABLE_BY_EVERYBODY) !== 0;
    if (isOpen && (mode & STICKY) === 0) {
      throw new Error(
        `${printable(above)} is writable by everybody (mode ${octal(mode)}, without the sticky bit), so any user could ` +
          `replace what is in it. Run: chmod o-w '${printable(above)}', or set DATA_DIR to a directory elsewhere.`,
      );
    }
    if ((isOpen || above === parent) && !trustedUids().includes(uid)) {
      throw new Error(
        `${printable(above)} is owned by uid ${uid}, who could replace what is in it. ` +
          'Set DATA_DIR to a directory elsewhere, for example in your home directory.',
      );
    }
    if (above === dirname(above)) return parent;
  }
}

/** The target, if the path is a link. */
function withoutLink(path: string): string {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats?.isSymbolicLink() !== true) return path;
  if (!trustedUids().includes(stats.uid)) {
    throw new Error(
      `${printable(path)} is a symbolic link that uid ${stats.uid} has made: it could lead anywhere. ` +
        'Remove the link, or set DATA_DIR to a directory elsewhere.',
    );
  }
  const target = statSync(path, { throwIfNoEntry: false }) && realpathSync(path);
  if (target === undefined) {
    throw new Error(
      `${printable(path)} is a symbolic link to nothing. Make the directory that it names, or set DATA_DIR to another one.`,
    );
  }
  return join(trustedParent(dirname(target)), basename(target));
}

/**
 * Root, the service's own user, and the owner of the service's code, who could change what the service does anyway: root
 * often runs the service from the clone of another user. The owner of `/` is root under another number, where a
 * container has numbers of its own.
 */
function trustedUids(): (number | undefined)[] {
  return [0, serviceUid(), statSync(import.meta.filename).uid, statSync('/').uid];
}
