/**
 * Open multipart uploads. Each has a directory with one sealed file for its request and one for every part.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { createReadStream, readdirSync, renameSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PRIVATE, privateDirectory } from '../../data-directory/private-directory.ts';
import { openPrivateFile } from '../../data-directory/private-file.ts';
import { S3Error } from '../errors.ts';
import { directoriesIn, type Fill, type ObjectHeaders, wholeSeconds } from './objects.ts';
import { readRecord, seal, syncDirectory } from './sealed-file.ts';

/** The request of CreateMultipartUpload. */
interface UploadRecord {
  readonly bucket: string;
  readonly key: string;
  readonly headers: ObjectHeaders;
  readonly initiated: string;
  readonly sizeBytes: 0;
}

export interface Part {
  readonly partNumber: number;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly lastModified: string;
}

export interface Upload extends UploadRecord {
  readonly uploadId: string;
  readonly parts: ReadonlyMap<number, Part>;
}

export interface Uploads {
  create(bucket: string, key: string, headers: ObjectHeaders): Promise<Upload>;
  /** Throws NoSuchUpload unless the upload is open and belongs to this key. */
  get(bucket: string, key: string, uploadId: string): Upload;
  /** In any order. */
  list(bucket: string): readonly Upload[];
  putPart(upload: Upload, partNumber: number, fill: Fill): Promise<Part>;
  /** The bytes of one part, for copying into the object. */
  readPart(upload: Upload, part: Part): AsyncIterable<Buffer>;
  /** Runs `run` after every earlier run for the same upload has ended. */
  oneAtATime<Result>(upload: Upload, run: () => Promise<Result>): Promise<Result>;
  /**
   * Ends a completed or aborted upload. It is unknown when this call returns, and its files are gone when it
   * resolves.
   */
  forget(upload: Upload): Promise<void>;
}

const uploadFile = 'upload';

export function openUploadStorage(directory: string, temporary: string, now: () => Date): Uploads {
  const uploads = new Map<string, UploadRecord & { uploadId: string; parts: Map<number, Part> }>();
  const running = new Map<string, Promise<void>>();
  privateDirectory(directory);
  for (const uploadId of directoriesIn(directory)) {
    const path = join(directory, uploadId);
    privateDirectory(path);
    const parts = readdirSync(path)
      .filter((file) => /^[0-9]+$/.test(file))
      .map((file) => readRecord<Part>(join(path, file)))
      .map((part) => [part.partNumber, part] as const);
    const record = readRecord<UploadRecord>(join(path, uploadFile));
    uploads.set(uploadId, { ...record, uploadId, parts: new Map(parts) });
  }

  const assertOpen = (uploadId: string): void => {
    if (!uploads.has(uploadId)) throw noSuchUpload(uploadId);
  };

  return {
    async create(bucket, key, headers) {
      const uploadId = randomBytes(24).toString('base64url');
      const temporaryPath = join(temporary, randomUUID());
      const initiated = wholeSeconds(now());
      await mkdir(temporaryPath, { mode: PRIVATE });
      const record = await seal(join(temporaryPath, uploadFile), async (): Promise<UploadRecord> => {
        return { bucket, key, headers, initiated, sizeBytes: 0 };
      });
      await syncDirectory(temporaryPath);
      renameSync(temporaryPath, join(directory, uploadId));
      await syncDirectory(directory);
      const upload = { ...record, uploadId, parts: new Map<number, Part>() };
      uploads.set(uploadId, upload);
      return upload;
    },
    get(bucket, key, uploadId) {
      const upload = uploads.get(uploadId);
      if (upload === undefined || upload.bucket !== bucket || upload.key !== key)
        throw noSuchUpload(uploadId);
      return upload;
    },
    list: (bucket) => [...uploads.values()].filter((upload) => upload.bucket === bucket),
    async putPart({ uploadId }, partNumber, fill) {
      const path = join(directory, uploadId);
      const temporaryPath = join(temporary, randomUUID());
      const part = await seal(temporaryPath, async (append): Promise<Part> => {
        const { etag, sizeBytes } = await fill(append);
        return { partNumber, sizeBytes, etag, lastModified: wholeSeconds(now()) };
      });
      try {
        assertOpen(uploadId);
        renameSync(temporaryPath, join(path, `${partNumber}`));
      } catch (error) {
        await rm(temporaryPath, { force: true });
        throw error;
      }
      uploads.get(uploadId)?.parts.set(partNumber, part);
      try {
        await syncDirectory(path);
      } catch (error) {
        // If the directory is missing because the upload has just ended, this throws NoSuchUpload instead.
        assertOpen(uploadId);
        throw error;
      }
      return part;
    },
    readPart: ({ uploadId }, part) => {
      const fd = openPrivateFile(join(directory, uploadId, `${part.partNumber}`));
      return createReadStream('', { fd, end: part.sizeBytes - 1 });
    },
    async oneAtATime({ uploadId }, run) {
      const before = running.get(uploadId);
      const now = (before ?? Promise.resolve()).then(run);
      const settled = now.then(noop, noop);
      running.set(uploadId, settled);
      await settled;
      if (running.get(uploadId) === settled) running.delete(uploadId);
      return now;
    },
    async forget({ uploadId }) {
      if (!uploads.delete(uploadId)) return;
      const path = join(temporary, randomUUID());
      renameSync(join(directory, uploadId), path);
      await rm(path, { recursive: true, force: true });
      await syncDirectory(directory);
    },
  };
}

function noop(): void {}

function noSuchUpload(uploadId: string): S3Error {
  const message =
    'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted ' +
    'or completed.';
  return new S3Error('NoSuchUpload', message, { UploadId: uploadId });
}
