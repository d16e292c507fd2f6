/**
 * `src/dev/object-store/storage` keeps each object and each part as one sealed file on the disk: the bytes, and a
 * record that describes them (`sealed-file.ts`). An index of the records is in memory. Every change is durable before
 * its promise resolves. A crash leaves no partly written object.
 *
 * HTTP, XML and signatures do not belong here. The storage knows only the keys, ETags and errors of S3.
 */
import { hash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { privateDirectory } from '../../data-directory/private-directory.ts';
import { S3Error } from '../errors.ts';
import { utf8Form } from './key-order.ts';
import { type Commit, openSealedDirectory, type SealedDirectory } from './sealed-directory.ts';
import type { Append } from './sealed-file.ts';

/**
 * The headers that are stored with an object, such as Content-Type and `x-amz-meta-*`, keyed by lower-case
 * name.
 */
export type ObjectHeaders = Readonly<Record<string, string>>;

/** The size and the ETag of bytes that were written. */
export interface Written {
  readonly sizeBytes: number;
  /** The ETag with its quotes, as in the HTTP header. */
  readonly etag: string;
}

/** Writes all bytes of an object, in order, by calls of `append`. */
export type Fill = (append: Append) => Promise<Written>;

export interface ObjectRecord extends Written {
  readonly key: string;
  /** An ISO 8601 time in whole seconds, as in S3. */
  readonly lastModified: string;
  readonly headers: ObjectHeaders;
}

interface Bucket {
  readonly files: SealedDirectory<ObjectRecord>;
  /**
   * The objects in the order of S3. Undefined after an object was put or removed: the next `list` then sorts
   * all objects again, which takes 0.2 s for 100,000 objects.
   */
  sorted: readonly Listed[] | undefined;
}

export interface Listed {
  /** The key in UTF-8 form. */
  readonly form: string;
  readonly record: ObjectRecord;
}

interface PutOptions {
  readonly headers: ObjectHeaders;
  /**
   * True for a request with `If-None-Match: *`: `put` then throws when the key is taken. `put` checks the
   * key again at the moment when the object would appear, so only one of two concurrent puts succeeds.
   */
  readonly onlyIfAbsent: boolean;
  readonly commit?: Commit;
}

export type Objects = ReturnType<typeof openObjectStorage>;

export function openObjectStorage(directory: string, temporary: string, now: () => Date) {
  privateDirectory(directory);
  const openBucket = (name: string): Bucket => ({
    files: openSealedDirectory(join(directory, name), temporary, FILE_NAME),
    sorted: undefined,
  });
  const buckets = new Map(directoriesIn(directory).map((name) => [name, openBucket(name)]));

  const bucketOf = (name: string): Bucket => {
    const bucket = buckets.get(name);
    if (bucket === undefined) {
      throw new S3Error('NoSuchBucket', 'The specified bucket does not exist', { BucketName: name });
    }
    return bucket;
  };

  return {
    createBucket(name: string): void {
      assertBucketName(name);
      if (!buckets.has(name)) buckets.set(name, openBucket(name));
    },
    assertBucket(name: string): void {
      bucketOf(name);
    },
    find: (name: string, key: string): ObjectRecord | undefined =>
      bucketOf(name).files.records.get(fileName(key)),
    /**
     * Streams the bytes from `first` to `last`, both included. Call it in the same step of the event loop in which
     * `find` returned the record, because the object may be overwritten or removed after that step. The caller must
     * end or destroy the stream.
     */
    read: (name: string, key: string, first: number, last: number): Readable =>
      bucketOf(name).files.read(fileName(key), first, last),
    /** All objects, in the order of S3. */
    list(name: string): readonly Listed[] {
      const bucket = bucketOf(name);
      bucket.sorted ??= sorted(bucket.files.records.values());
      return bucket.sorted;
    },
    async put(name: string, key: string, fill: Fill, options: PutOptions): Promise<ObjectRecord> {
      const { headers, onlyIfAbsent, commit = (appear) => appear() } = options;
      const bucket = bucketOf(name);
      if (onlyIfAbsent) assertAbsent(bucket, key);
      const write = async (append: Append): Promise<ObjectRecord> => {
        const { sizeBytes, etag } = await fill(append);
        return { key, sizeBytes, etag, lastModified: wholeSeconds(now()), headers };
      };
      return bucket.files.put(fileName(key), write, (appear) => {
        if (onlyIfAbsent) assertAbsent(bucket, key);
        bucket.sorted = undefined;
        commit(appear);
      });
    },
    /** Removing a missing object is not an error. */
    async remove(name: string, key: string): Promise<void> {
      const bucket = bucketOf(name);
      bucket.sorted = undefined;
      await bucket.files.remove(fileName(key));
    },
  };
}

function assertBucketName(name: string): void {
  if (/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name)) return;
  throw new S3Error('InvalidBucketName', 'The specified bucket is not valid.', { BucketName: name });
}

function sorted(records: Iterable<ObjectRecord>): Listed[] {
  return Array.from(records, (record) => ({ form: utf8Form(record.key), record })).sort((a, b) =>
    a.form < b.form ? -1 : 1,
  );
}

function assertAbsent(bucket: Bucket, key: string): void {
  if (!bucket.files.records.has(fileName(key))) return;
  const message = 'At least one of the pre-conditions you specified did not hold';
  throw new S3Error('PreconditionFailed', message, { Condition: 'If-None-Match' });
}

/**
 * File names are SHA-256 sums of keys in hex. A key itself cannot be a file name: it can contain any character, such
 * as `/`, and can have 1,024 bytes, but a file name has at most 255.
 */
const FILE_NAME = /^[0-9a-f]{64}$/;

function fileName(key: string): string {
  return hash('sha256', key);
}

/**
 * Returns only directories, and ignores files. Desktops add files such as .DS_Store to a directory that a
 * user opened.
 */
export function directoriesIn(path: string): string[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}

export function wholeSeconds(date: Date): string {
  return new Date(Math.floor(date.getTime() / 1000) * 1000).toISOString();
}
