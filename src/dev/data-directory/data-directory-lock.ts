/** The lock of DATA_DIR: one running service per directory. */
import { closeSync, lstatSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { printable } from '../../text/printable.ts';
import { LOCK_FILE, openDataDirectory, PID_FILE, READY_FILE } from './data-directory.ts';
import { assertOwned, serviceUid } from './ownership.ts';
import { readPrivateFile, writePrivateFile } from './private-file.ts';

/**
 * Locks the data directory for this process, until it releases the lock or dies. Throws an InUseError while another
 * process holds the lock. Creates the directory when missing. The lock does not keep the process alive.
 *
 * The lock is an fcntl lock of the kernel on a file. It is better than a pid file alone, because the kernel
 * frees the lock when the process ends in any way, and a later process with the same pid does not have the lock.
 * The lock file is inside the directory and only its owner can open it, so no other user can take the lock. An
 * earlier version used an abstract socket. Every user of the machine could listen on that socket, and the answer
 * of that user appeared in the error message of the service.
 *
 * SQLite takes the lock, because Node has no function for fcntl locks. The lock file is an SQLite database that
 * stays empty.
 */
export function lockDataDirectory(given: string) {
  const directory = openDataDirectory(given);
  const lockFile = join(directory, LOCK_FILE);
  makeLockFile(lockFile);
  const database = new DatabaseSync(lockFile);
  try {
    // With a rollback journal in memory, SQLite creates no journal file beside the lock file.
    database.exec('pragma journal_mode = memory; pragma locking_mode = exclusive; begin exclusive');
  } catch (error) {
    database.close();
    throw (error as { errcode?: number }).errcode === SQLITE_BUSY ? inUse(given, directory) : error;
  }
  held.add(database);
  // A process that was killed leaves this file behind.
  rmSync(join(directory, READY_FILE), { force: true });
  writePrivateFile(join(directory, PID_FILE), String(process.pid));
  return {
    /** The real path of the directory. */
    directory,
    /** Tells commands that the servers are ready, and that their ports and keys stand in the directory. */
    announceServers: () => writePrivateFile(join(directory, READY_FILE), ''),
    /** Only the first call releases the lock. Further calls do nothing. */
    release(): void {
      if (!held.delete(database)) return;
      rmSync(join(directory, READY_FILE), { force: true });
      rmSync(join(directory, PID_FILE), { force: true });
      database.close();
    },
  };
}

const SQLITE_BUSY = 5;

/**
 * Keeps a reference to each open database. Without a reference, the garbage collector would close the database,
 * and closing it frees the lock.
 */
const held = new Set<DatabaseSync>();

/**
 * Creates the lock file, and never opens an existing one. When a process closes any descriptor of a file, the
 * kernel frees all fcntl locks of the process on that file. Closing an existing lock file here would therefore
 * free the lock that an earlier call of `lockDataDirectory` in this process took.
 */
function makeLockFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const stats = lstatSync(path);
    if (!stats.isFile() || stats.size > 0) {
      throw new Error(
        `${printable(path)} is not the empty file that the service creates for its lock. Remove the file.`,
      );
    }
    assertOwned(path, stats, serviceUid());
  }
}

/** Another process holds the lock. */
export class InUseError extends Error {
  override readonly name = 'InUseError';
  /** Which directory is in use, and by which process. */
  readonly use: string;
  /** The real path of the directory. */
  readonly directory: string;
  /** Whether that process has announced its servers. */
  readonly hasServers: boolean;

  constructor(use: string, directory: string, hasServers: boolean) {
    super(`${use}. Stop that service first, or set DATA_DIR to another directory.`);
    this.use = use;
    this.directory = directory;
    this.hasServers = hasServers;
  }
}

function inUse(given: string, directory: string): InUseError {
  const hasServers = readPrivateFile(join(directory, READY_FILE), 0) !== undefined;
  const owner = readPrivateFile(join(directory, PID_FILE), PID_MAX_BYTES) ?? '';
  const pid = /^[1-9][0-9]*$/.test(owner) ? ` (pid ${owner})` : '';
  const use = `${printable(given)} is in use by another running service${pid}`;
  return new InUseError(use, directory, hasServers);
}

/** A pid has at most 7 digits on Linux, and at most 10 on every other system. */
const PID_MAX_BYTES = 10;
