/**
 * Stores the multipart uploads that are neither completed nor aborted. Each upload has a directory, which has one
 * sealed file for the request that began the upload, and one for every part (`sealed-file.ts`).
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { renameSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PRIVATE, privateDirectory } from '../../data-directory/private-directory.ts';
import { S3Error } from '../errors.ts';
import { directoriesIn, type Fill, type ObjectHeaders, type Written, wholeSeconds } from './objects.ts';
import { openSealedDirectory, type SealedDirectory } from './sealed-directory.ts';
import { type Append, readRecord, seal, syncDirectory } from './sealed-file.ts';

/** The record of the request CreateMultipartUpload that began the upload. */
interface UploadRecord {
  readonly bucket: string;
  readonly key: string;
  readonly headers: ObjectHeaders;
  readonly initiated: string;
  readonly sizeBytes: 0;
}

export interface Part extends Written {
  readonly partNumber: number;
  readonly lastModified: string;
}

export interface Upload extends UploadRecord {
  readonly uploadId: string;
  /** The directory has one file for each part. The name of the file is the number of the part. */
  readonly parts: SealedDirectory<Part>;
  /** Resolves when the run that `oneAtATime` queued last has ended. */
  lastRun: Promise<unknown>;
}

const UPLOAD_FILE = 'upload';
const PART_FILE = /^[0-9]+$/;

export type Uploads = ReturnType<typeof openUploadStorage>;

export function openUploadStorage(directory: string, temporary: string, now: () => Date) {
  privateDirectory(directory);
  const readUpload = (uploadId: string): Upload => {
    const path = join(directory, uploadId);
    const parts = openSealedDirectory<Part>(path, temporary, PART_FILE);
    const record = readRecord<UploadRecord>(join(path, UPLOAD_FILE));
    return { ...record, uploadId, parts, lastRun: Promise.resolve() };
  };
  const uploads = new Map(directoriesIn(directory).map((uploadId) => [uploadId, readUpload(uploadId)]));

  const assertOpen = ({ uploadId }: Upload): void => {
    if (!uploads.has(uploadId)) throw noSuchUpload(uploadId);
  };

  return {
    async create(bucket: string, key: string, headers: ObjectHeaders): Promise<string> {
      const uploadId = randomBytes(24).toString('base64url');
      const record: UploadRecord = { bucket, key, headers, initiated: wholeSeconds(now()), sizeBytes: 0 };
      const temporaryPath = join(temporary, randomUUID());
      await mkdir(temporaryPath, { mode: PRIVATE });
      await seal(join(temporaryPath, UPLOAD_FILE), async () => record);
      await syncDirectory(temporaryPath);
      renameSync(temporaryPath, join(directory, uploadId));
      await syncDirectory(directory);
      uploads.set(uploadId, readUpload(uploadId));
      return uploadId;
    },
    /** Throws NoSuchUpload unless the upload is open and belongs to this key. */
    get(bucket: string, key: string, uploadId: string): Upload {
      const upload = uploads.get(uploadId);
      if (upload?.bucket !== bucket || upload.key !== key) throw noSuchUpload(uploadId);
      return upload;
    },
    /** Returns the uploads of a bucket in any order. */
    list: (bucket: string): Upload[] => [...uploads.values()].filter((upload) => upload.bucket === bucket),
    async putPart(upload: Upload, partNumber: number, fill: Fill): Promise<Part> {
      const write = async (append: Append): Promise<Part> => {
        const { sizeBytes, etag } = await fill(append);
        return { partNumber, sizeBytes, etag, lastModified: wholeSeconds(now()) };
      };
      const commit = (appear: () => void): void => {
        assertOpen(upload);
        appear();
      };
      return upload.parts.put(`${partNumber}`, write, commit).catch((error: unknown) => {
        // If the upload has just ended, its directory is missing, and that caused the error. Then NoSuchUpload
        // is thrown instead.
        assertOpen(upload);
        throw error;
      });
    },
    /** Runs `run` after every earlier run for the same upload has ended. */
    oneAtATime<Result>(upload: Upload, run: () => Promise<Result>): Promise<Result> {
      const turn = upload.lastRun.then(run);
      upload.lastRun = turn.catch(() => {});
      return turn;
    },
    /**
     * Ends a completed or aborted upload. When this call returns its promise, `get` and `list` no longer know the
     * upload. When the promise resolves, the files of the upload are removed.
     */
    async forget({ uploadId }: Upload): Promise<void> {
      if (!uploads.delete(uploadId)) return;
      const path = join(temporary, randomUUID());
      renameSync(join(directory, uploadId), path);
      await rm(path, { recursive: true, force: true });
      await syncDirectory(directory);
    },
  };
}

function noSuchUpload(uploadId: string): S3Error {
  const message =
    'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted ' +
    'or completed.';
  return new S3Error('NoSuchUpload', message, { UploadId: uploadId });
}
