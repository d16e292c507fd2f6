import { closeSync, lstatSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { LOCK_FILE, openDataDirectory, PID_FILE } from './data-directory.ts';
import { assertOwned, serviceUid } from './ownership.ts';
import { printable } from './printable.ts';
import { readPrivateFile, writePrivateFile } from './private-file.ts';

export interface DataDirectoryLock {
  /** The real path of the directory. */
  readonly directory: string;
  /** May be called repeatedly. */
  readonly release: () => void;
}

/**
 * Makes this process the only one on a data directory, until it releases the lock or dies; refused while another
 * process holds it. The directory is made when missing. The lock does not keep the process alive.
 *
 * The lock is one that the kernel keeps on a file (fcntl), and not a pid file: the kernel frees it with its owner,
 * however that one ends, and no later process inherits it by getting the same pid. The file is inside the directory and
 * only its owner can open it, so no other user can take the lock. An abstract socket, which this was before, could be
 * taken by any user of the machine, and what its owner answered came into our error message.
 *
 * SQLite takes the lock, because Node has no call for it. The database stays empty.
 */
export function lockDataDirectory(given: string): DataDirectoryLock {
  const directory = openDataDirectory(given);
  const lockFile = join(directory, LOCK_FILE);
  makeLockFile(lockFile);
  const database = new DatabaseSync(lockFile);
  try {
    // A observer in memory, else SQLite makes a file of its own beside this one.
    database.exec('pragma journal_mode = memory; pragma locking_mode = exclusive; begin exclusive');
  } catch (error) {
    database.close();
    throw (error as { errcode?: number }).errcode === SQLITE_BUSY ? inUse(given, directory) : error;
  }
  held.add(database);
  writePrivateFile(join(directory, PID_FILE), String(process.pid));
  return {
    directory,
    release() {
      if (!held.delete(database)) return;
      rmSync(join(directory, PID_FILE), { force: true });
      database.close();
    },
  };
}

const SQLITE_BUSY = 5;

/** A database that nobody refers to is closed by the garbage collector, and the lock would be free. */
const held = new Set<DatabaseSync>();

/**
 * A file that is there is never opened here: to close any descriptor of a file frees all fcntl locks that the process
 * has on it, and so would free the lock of an earlier call.
 */
function makeLockFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const stats = lstatSync(path);
    if (!stats.isFile() || stats.size > 0) {
      throw new Error(
        `${printable(path)} is not the empty file that the service makes for its lock. Remove it.`,
      );
    }
    assertOwned(path, stats, serviceUid());
  }
}

function inUse(given: string, directory: string): Error {
  const owner = readPrivateFile(join(directory, PID_FILE), PID_MAX_BYTES) ?? '';
  return new Error(
    `${printable(given)} is in use by another running service${/^[1-9][0-9]*$/.test(owner) ? ` (pid ${owner})` : ''}. ` +
      'Stop that one first, or set DATA_DIR to a directory of its own for this one.',
  );
}

/** Linux has pids of at most 7 digits, no system has more than 10. */
const PID_MAX_BYTES = 10;
