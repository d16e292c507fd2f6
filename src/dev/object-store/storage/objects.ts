/** The buckets and their objects: sealed files on the disk, and an index of their records in memory. */

import { hash, randomUUID } from 'node:crypto';
import { createReadStream, readdirSync, renameSync, unlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { privateDirectory } from '../../data-directory/private-directory.ts';
import { openPrivateFile } from '../../data-directory/private-file.ts';
import type { Received } from '../body.ts';
import { S3Error } from '../errors.ts';
import { createKeyIndex, type KeyIndex } from './key-index.ts';
import { readRecord, seal, syncDirectory } from './sealed-file.ts';

/** What an object is stored with: Content-Type and the like, and `x-amz-meta-*`, by lower-case name. */
export type ObjectHeaders = Readonly<Record<string, string>>;

export interface ObjectRecord {
  readonly key: string;
  readonly sizeBytes: number;
  /** With its quotes, as it goes over the wire. */
  readonly etag: string;
  /** Whole seconds, as S3 keeps it. */
  readonly lastModified: string;
  readonly headers: ObjectHeaders;
}

interface Bucket {
  readonly directory: string;
  readonly records: Map<string, ObjectRecord>;
  readonly keys: KeyIndex;
}

export interface PutOptions {
  readonly headers: ObjectHeaders;
  /** `If-None-Match: *`: refuse when the key is taken, decided at the moment the object would appear. */
  readonly onlyIfAbsent: boolean;
  /** Calls `appear`, with whatever else belongs into the one step in which the object appears; throws to refuse it. */
  readonly commit?: (appear: () => void) => void;
}

export type Fill = (
  append: (bytes: Buffer) => Promise<void>,
) => Promise<Pick<ObjectRecord, 'etag' | 'sizeBytes'>>;

export interface Objects {
  createBucket(bucket: string): void;
  assertBucket(bucket: string): void;
  find(bucket: string, key: string): ObjectRecord | undefined;
  /**
   * The bytes from `first` to `last`, both included, of an object found in the same step of the event loop. A reader
   * keeps them to the end, whatever happens to the key meanwhile. Whoever takes the stream ends or destroys it.
   */
  read(bucket: string, key: string, first: number, last: number): Readable;
  keysFrom(bucket: string, after: string, inclusive: boolean): Iterable<string>;
  put(bucket: string, key: string, fill: Fill, options: PutOptions): Promise<ObjectRecord>;
  /** Removing what is not there is no error. */
  remove(bucket: string, key: string): Promise<void>;
}

export function openObjects(directory: string, temporary: string, now: () => Date): Objects {
  const buckets = new Map<string, Bucket>();
  const openBucket = (name: string): void => {
    const path = join(directory, name);
    privateDirectory(path);
    const records = new Map<string, ObjectRecord>();
    for (const file of readdirSync(path).filter((each) => fileNamePattern.test(each))) {
      const record = readRecord<ObjectRecord>(join(path, file));
      records.set(record.key, record);
    }
    buckets.set(name, { directory: path, records, keys: createKeyIndex(records.keys()) });
  };
  privateDirectory(directory);
  for (const name of directoriesIn(directory)) openBucket(name);

  const bucketOf = (name: string): Bucket => {
    const bucket = buckets.get(name);
    if (bucket === undefined) {
      throw new S3Error('NoSuchBucket', 'The specified bucket does not exist', { BucketName: name });
    }
    return bucket;
  };
  const assertAbsent = (bucket: Bucket, key: string): void => {
    if (!bucket.records.has(key)) return;
    const message = 'At least one of the pre-conditions you specified did not hold';
    throw new S3Error('PreconditionFailed', message, { Condition: 'If-None-Match' });
  };

  return {
    createBucket(name) {
      if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name)) {
        throw new S3Error('InvalidBucketName', 'The specified bucket is not valid.', { BucketName: name });
      }
      if (!buckets.has(name)) openBucket(name);
    },
    assertBucket: (name) => void bucketOf(name),
    find: (name, key) => bucketOf(name).records.get(key),
    read(name, key, start, end) {
      // Opened at once: an overwrite or a delete replaces the name, never the bytes of this file.
      const fd = openPrivateFile(join(bucketOf(name).directory, fileName(key)));
      return createReadStream('', { fd, start, end });
    },
    keysFrom: (name, after, inclusive) => bucketOf(name).keys.from(after, inclusive),
    async put(name, key, fill, { headers, onlyIfAbsent, commit = (appear) => appear() }) {
      const bucket = bucketOf(name);
      if (onlyIfAbsent) assertAbsent(bucket, key);
      const temporaryPath = join(temporary, randomUUID());
      const record = await seal(temporaryPath, async (append): Promise<ObjectRecord> => {
        const { etag, sizeBytes } = await fill(append);
        return { key, sizeBytes, etag, lastModified: wholeSeconds(now()), headers };
      });
      try {
        if (onlyIfAbsent) assertAbsent(bucket, key);
        // Disk and index change in one step of the event loop, so no request sees one without the other.
        commit(() => {
          renameSync(temporaryPath, join(bucket.directory, fileName(key)));
          bucket.records.set(key, record);
          bucket.keys.add(key);
        });
      } catch (error) {
        await rm(temporaryPath, { force: true });
        throw error;
      }
      await syncDirectory(bucket.directory);
      return record;
    },
    async remove(name, key) {
      const bucket = bucketOf(name);
      if (!bucket.records.has(key)) return;
      unlinkSync(join(bucket.directory, fileName(key)));
      bucket.records.delete(key);
      bucket.keys.remove(key);
      await syncDirectory(bucket.directory);
    },
  };
}

/** Keys hold any character and 1,024 bytes, file names do not. */
const fileNamePattern = /^[0-9a-f]{64}$/;

function fileName(key: string): string {
  return hash('sha256', key);
}

/** Desktops put files of their own into any directory that was looked at. */
export function directoriesIn(path: string): string[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}

export function wholeSeconds(date: Date): string {
  return new Date(Math.floor(date.getTime() / 1000) * 1000).toISOString();
}

export function md5Etag({ md5 }: Received): string {
  return `"${md5.toString('hex')}"`;
}
