/**
 * A directory of sealed files, with an index of their records in memory, by file name. A sealed file has the bytes of
 * an object or a part and the record that describes them (`sealed-file.ts`).
 */
import { randomUUID } from 'node:crypto';
import { createReadStream, readdirSync, renameSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { privateDirectory } from '../../data-directory/private-directory.ts';
import { openPrivateFile } from '../../data-directory/private-file.ts';
import { type Append, readRecord, type SealedRecord, seal, syncDirectory } from './sealed-file.ts';

/**
 * Decides about a file that `put` has written. The function calls `appear`, which makes the file visible, and
 * makes its own changes in the same step of the event loop. It throws to refuse the file.
 */
export type Commit = (appear: () => void) => void;

export type SealedDirectory<R extends SealedRecord> = ReturnType<typeof openSealedDirectory<R>>;

/**
 * @param names matches the names of the sealed files; other files are left alone, because desktops add files
 *   such as .DS_Store
 */
export function openSealedDirectory<R extends SealedRecord>(path: string, temporary: string, names: RegExp) {
  privateDirectory(path);
  const found = readdirSync(path).filter((name) => names.test(name));
  const records = new Map(found.map((name) => [name, readRecord<R>(join(path, name))]));
  return {
    records: records as ReadonlyMap<string, R>,
    /**
     * Streams the bytes from `start` to `end`, both included. Call it in the same step of the event loop in
     * which the record was found, because the file may be overwritten or removed after that step. The open
     * stream keeps its bytes when this happens. The caller must end or destroy the stream.
     */
    read(name: string, start: number, end: number): Readable {
      // The file is opened now and not when the stream is read. A later overwrite or delete changes only the
      // directory entry, never the bytes of the opened file.
      return createReadStream('', { fd: openPrivateFile(join(path, name)), start, end });
    },
    /** The file is durable when the promise resolves. */
    async put(name: string, fill: (append: Append) => Promise<R>, commit: Commit): Promise<R> {
      const temporaryPath = join(temporary, randomUUID());
      const record = await seal(temporaryPath, fill, (sealed) =>
        // The directory on the disk and the index in memory change in one step of the event loop. So no
        // request sees only one of the two changes.
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
