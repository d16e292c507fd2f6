/**
 * Checks the owner and the mode of the files that the service keeps on the disk. The machine can have other
 * users. A user who created a file or directory before the service did, or can write to it, could read and
 * change its content.
 */
import type { Stats } from 'node:fs';
import { printable } from '../../text/printable.ts';

/** The numeric id of the user that the service runs as. Undefined on Windows, which has no such ids. */
export function serviceUid(): number | undefined {
  return process.geteuid?.();
}

/**
 * Checks nothing if `owner` is undefined, which it is on Windows (see `serviceUid`).
 *
 * @throws if the file or directory does not belong to `owner`, or if another user can write to it
 */
export function assertOwned(path: string, { uid, mode }: Stats, owner: number | undefined): void {
  if (owner === undefined) return;
  const shown = printable(path);
  if (uid !== owner) {
    throw new Error(
      `${shown} is owned by uid ${uid}, but must be owned by uid ${owner}: another owner can read and change its ` +
        `content. Start the service as the owner, remove ${shown}, or set DATA_DIR to a directory of your own.`,
    );
  }
  if ((mode & WRITABLE_BY_OTHERS) !== 0) {
    throw new Error(
      `${shown} is writable by its group or by every user (mode ${octal(mode)}), so it may hold files of other ` +
        `users. If you trust all of its content, run: chmod -R go-w '${shown}'. Otherwise set DATA_DIR to a ` +
        'directory of your own.',
    );
  }
}

export function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0');
}

export function symbolicLinkError(path: string): Error {
  return new Error(
    `${printable(path)} is a symbolic link. The service follows no link inside DATA_DIR, because it could ` +
      'lead to files of another user. Remove the link, or set DATA_DIR to another directory.',
  );
}

const WRITABLE_BY_OTHERS = 0o022;
