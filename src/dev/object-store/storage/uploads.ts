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
import { type Append, readRecord, seal, syncDirectory } from './sealed-file.ts';

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

type OpenUpload = UploadRecord & { readonly uploadId: string; readonly parts: Map<number, Part> };

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
  privateDirectory(directory);
  const uploads = new Map(
    directoriesIn(directory).map((uploadId) => [uploadId, readUpload(directory, uploadId)]),
  );

  return {
    async create(bucket, key, headers) {
      const uploadId = randomBytes(24).toString('base64url');
      const record: UploadRecord = { bucket, key, headers, initiated: wholeSeconds(now()), sizeBytes: 0 };
      const temporaryPath = join(temporary, randomUUID());
      await writeUpload(temporaryPath, record);
      renameSync(temporaryPath, join(directory, uploadId));
      await syncDirectory(directory);
      const upload = { ...record, uploadId, parts: new Map<number, Part>() };
      uploads.set(uploadId, upload);
      return upload;
    },
    get(bucket, key, uploadId) {
      const upload = openUpload(uploads, uploadId);
      if (upload.bucket !== bucket || upload.key !== key) throw noSuchUpload(uploadId);
      return upload;
    },
    list: (bucket) => [...uploads.values()].filter((upload) => upload.bucket === bucket),
    async putPart({ uploadId }, partNumber, fill) {
      const path = join(directory, uploadId);
      const temporaryPath = join(temporary, randomUUID());
      const write = async (append: Append): Promise<Part> => {
        const { etag, sizeBytes } = await fill(append);
        return { partNumber, sizeBytes, etag, lastModified: wholeSeconds(now()) };
      };
      const part = await seal(temporaryPath, write, (sealed) => {
        const { parts } = openUpload(uploads, uploadId);
        renameSync(temporaryPath, join(path, `${partNumber}`));
        parts.set(partNumber, sealed);
      });
      // Fails if the upload has just ended, because its directory is then missing.
      await syncDirectory(path).catch((error: unknown) => {
        openUpload(uploads, uploadId);
        throw error;
      });
      return part;
    },
    readPart: ({ uploadId }, part) => {
      const fd = openPrivateFile(join(directory, uploadId, `${part.partNumber}`));
      return createReadStream('', { fd, end: part.sizeBytes - 1 });
    },
    oneAtATime: createTurns(),
    async forget({ uploadId }) {
      if (!uploads.delete(uploadId)) return;
      const path = join(temporary, randomUUID());
      renameSync(join(directory, uploadId), path);
      await rm(path, { recursive: true, force: true });
      await syncDirectory(directory);
    },
  };
}

async function writeUpload(path: string, record: UploadRecord): Promise<void> {
  await mkdir(path, { mode: PRIVATE });
  await seal(join(path, uploadFile), async () => record);
  await syncDirectory(path);
}

function readUpload(directory: string, uploadId: string): OpenUpload {
  const path = join(directory, uploadId);
  privateDirectory(path);
  const parts = readdirSync(path)
    .filter((file) => /^[0-9]+$/.test(file))
    .map((file) => readRecord<Part>(join(path, file)))
    .map((part) => [part.partNumber, part] as const);
  return { ...readRecord<UploadRecord>(join(path, uploadFile)), uploadId, parts: new Map(parts) };
}

function openUpload(uploads: ReadonlyMap<string, OpenUpload>, uploadId: string): OpenUpload {
  const upload = uploads.get(uploadId);
  if (upload === undefined) throw noSuchUpload(uploadId);
  return upload;
}

/** Keeps the promise of the last turn of each upload, for the next turn to wait for. */
function createTurns(): Uploads['oneAtATime'] {
  const running = new Map<string, Promise<unknown>>();
  return async ({ uploadId }, run) => {
    const turn = (running.get(uploadId) ?? Promise.resolve()).then(run);
    const settled = turn.catch(() => {});
    running.set(uploadId, settled);
    await settled;
    if (running.get(uploadId) === settled) running.delete(uploadId);
    return turn;
  };
}

function noSuchUpload(uploadId: string): S3Error {
  const message =
    'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted ' +
    'or completed.';
  return new S3Error('NoSuchUpload', message, { UploadId: uploadId });
}
