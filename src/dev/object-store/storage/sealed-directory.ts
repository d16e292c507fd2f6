/** A directory of sealed files, with an index of their records in memory, by file name. */
import { randomUUID } from 'node:crypto';
import { createReadStream, readdirSync, renameSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { privateDirectory } from '../../data-directory/private-directory.ts';
import { openPrivateFile } from '../../data-directory/private-file.ts';
import { type Append, readRecord, type SealedRecord, seal, syncDirectory } from './sealed-file.ts';

/**
 * Calls `appear`, which makes the file visible, and does the other work of the same synchronous step. Throws to
 * refuse the file.
 */
export type Commit = (appear: () => void) => void;

export type SealedDirectory<R extends SealedRecord> = ReturnType<typeof openSealedDirectory<R>>;

/** @param names the form of the names. Other files are left alone: desktops add files such as .DS_Store. */
export function openSealedDirectory<R extends SealedRecord>(path: string, temporary: string, names: RegExp) {
  privateDirectory(path);
  const found = readdirSync(path).filter((name) => names.test(name));
  const records = new Map(found.map((name) => [name, readRecord<R>(join(path, name))]));
  return {
    records: records as ReadonlyMap<string, R>,
    /**
     * Streams the bytes from `start` to `end`, both included. Call it in the same step of the event loop in which
     * the record was found. The stream keeps its bytes when the file is overwritten or removed. The caller must end
     * or destroy the stream.
     */
    read(name: string, start: number, end: number): Readable {
      // Opened now: a later overwrite or delete changes the directory entry, never the bytes of this file.
      return createReadStream('', { fd: openPrivateFile(join(path, name)), start, end });
    },
    /** The file is durable when the promise resolves. */
    async put(name: string, fill: (append: Append) => Promise<R>, commit: Commit): Promise<R> {
      const temporaryPath = join(temporary, randomUUID());
      const record = await seal(temporaryPath, fill, (sealed) =>
        // Disk and index change in one step of the event loop, so no request sees only one of the changes.
        commit(() => {
          renameSync(temporaryPath, join(path, name));
          records.set(name, sealed);
        }),
      );
      await syncDirectory(path);
      return record;
    },
    /** Removing a missing file is not an error. */
    async remove(name: string): Promise<void> {
      if (!records.has(name)) return;
      unlinkSync(join(path, name));
      records.delete(name);
      await syncDirectory(path);
    },
  };
}
