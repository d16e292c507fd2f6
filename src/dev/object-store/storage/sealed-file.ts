/**
 * A sealed file has the bytes of an object or a part and, after them, the record that describes them. Both are in
 * one file, so that they can never disagree:
 *
 *     <bytes> <record as JSON> <length of the record, 4 bytes, big-endian> <the 8 bytes of `MARK`>
 *
 * The record comes last, because its MD5 is known only after the bytes. A file gets its name by one rename,
 * after it is complete and on the disk. A killed process leaves files only in the temporary directory, which
 * every start empties.
 */
import { closeSync, fstatSync, readSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { printable } from '../../../text/printable.ts';
import { openPrivateFile } from '../../data-directory/private-file.ts';

const MARK = Buffer.from('objects1');
const FOOTER_BYTES = 4 + MARK.length;

/** The bytes that are read first, from the end. Most records are shorter, so one read returns the whole record. */
const FIRST_READ_BYTES = 2048;

export type Append = (bytes: Buffer) => Promise<void>;

export interface SealedRecord {
  readonly sizeBytes: number;
}

/**
 * Writes a sealed file at a temporary path, and passes its record to `publish`, which may give the file its final name
 * by a rename. If the writing or `publish` fails, the temporary file is removed.
 */
export async function seal<R extends SealedRecord>(
  temporaryPath: string,
  fill: (append: Append) => Promise<R>,
  publish: (record: R) => void = () => {},
): Promise<R> {
  await using file = await open(temporaryPath, 'wx', 0o600);
  try {
    const record = await fill((bytes) => file.appendFile(bytes));
    const json = Buffer.from(JSON.stringify(record));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(json.length);
    await file.appendFile(Buffer.concat([json, length, MARK]));
    await file.datasync();
    publish(record);
    return record;
  } catch (error) {
    await rm(temporaryPath, { force: true });
    throw error;
  }
}

/**
 * Reads the record of a sealed file. The start of the store reads the records of all files, so this function uses
 * synchronous functions of Node: they block the process for 14 µs for each file, and `fs/promises` took 87 µs.
 */
export function readRecord<R extends SealedRecord>(path: string): R {
  const descriptor = openPrivateFile(path);
  try {
    const fileBytes = fstatSync(descriptor).size;
    const readEnd = (bytes: number): Buffer => {
      const end = Buffer.alloc(Math.min(bytes, fileBytes));
      readSync(descriptor, end, 0, end.length, fileBytes - end.length);
      return end;
    };
    let end = readEnd(FIRST_READ_BYTES);
    if (end.length < FOOTER_BYTES || !end.subarray(-MARK.length).equals(MARK)) throw damaged(path);
    const recordBytes = end.readUInt32BE(end.length - FOOTER_BYTES);
    if (recordBytes + FOOTER_BYTES > end.length) end = readEnd(recordBytes + FOOTER_BYTES);
    const record: R = JSON.parse(
      end.toString('utf8', end.length - FOOTER_BYTES - recordBytes, end.length - FOOTER_BYTES),
    );
    if (record.sizeBytes + recordBytes + FOOTER_BYTES !== fileBytes) throw damaged(path);
    return record;
  } finally {
    closeSync(descriptor);
  }
}

/** Makes the renames in a directory durable. Without this, a crash of the machine can undo a rename. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r');
  await directory.sync();
}

function damaged(path: string): Error {
  return new Error(
    `object store: ${printable(path)} is damaged, or was not written by this store. Move the file away to start.`,
  );
}
