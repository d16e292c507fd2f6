import type pg from 'pg';
import type { Call } from '../../src/files/call.ts';
import { FileError, type Reason } from '../../src/files/file-error.ts';
import { sweepOne } from '../../src/files/maintenance/sweep.ts';
import { completeMultipartUpload } from '../../src/files/operations/complete-multipart-upload.ts';
import { createMultipartUpload } from '../../src/files/operations/create-multipart-upload.ts';
import { createPresignedDownload } from '../../src/files/operations/create-presigned-download.ts';
import { createPresignedParts } from '../../src/files/operations/create-presigned-parts.ts';
import { createPresignedUpload } from '../../src/files/operations/create-presigned-upload.ts';
import { deleteFile } from '../../src/files/operations/delete-file.ts';
import { getFile } from '../../src/files/operations/get-file.ts';
import { listFiles } from '../../src/files/operations/list-files.ts';
import type { FileStore } from '../../src/files/ports/file-store.ts';
import type { MultipartStore } from '../../src/files/ports/multipart-store.ts';
import type { ObjectStore } from '../../src/files/ports/object-store.ts';
import { createDatabase, createPool, type Database } from '../../src/postgres/connection/database.ts';
import { createFileStore } from '../../src/postgres/file-store.ts';
import { createClient } from '../../src/s3/client.ts';
import { createMultipartStore } from '../../src/s3/multipart-uploads.ts';
import { createObjectStore } from '../../src/s3/objects.ts';
import { createPresigner } from '../../src/s3/presign.ts';
import { createSend } from '../../src/s3/send.ts';
import { createSign } from '../../src/s3/signing/sign.ts';
import { LEAST_PART_BYTES } from '../harness/bucket.ts';
import { md5 } from '../harness/random.ts';
import { STORE_LIMITS } from '../harness/store-limits.ts';

/** The servers that store rows and bytes, outside the process that is killed. */
export interface Servers {
  databaseUrl: string;
  endpoint: string;
  region: string;
  bucket: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
}

/** A request of a client. */
export type Ask =
  | { method: 'create'; content: Content }
  | { method: 'list' }
  | { method: 'get' | 'download' | 'delete' | 'complete'; s3Key: string }
  /** Requests of multipart uploads. */
  | { method: 'begin'; content: CutContent }
  | { method: 'presign'; s3Key: string; partNumbers: number[] }
  | { method: 'sweep' };

export interface Content {
  filename: string;
  bytes: string;
  md5: string;
}

export interface CutContent {
  filename: string;
  /** Every part except the last has LEAST_PART_BYTES. */
  parts: string[];
}

/** The answer to a request. */
export type Answer =
  | { heard: 'NEW'; s3Key: string; url: string; headers: Record<string, string> }
  | { heard: 'EXISTING'; s3Key: string }
  | { heard: 'UPLOAD'; s3Key: string; missing: number[] }
  | { heard: 'parts'; s3Key: string; urls: PartUrl[] }
  | { heard: 'list'; keys: string[] }
  | { heard: 'file'; state: 'pending' | 'ready' }
  | { heard: 'OK' }
  | { heard: Reason };

export interface PartUrl {
  number: number;
  url: string;
  requiredHeaders: Record<string, string>;
}

/**
 * The ports and operations, connected as in src/server/app.ts, without protocols and metrics, because a child
 * process must start quickly.
 */
export interface Ports {
  pool: pg.Pool;
  store: FileStore;
  objects: ObjectStore;
  multipart: MultipartStore;
  sweepOne: ReturnType<typeof sweepOne>;
  perform(userId: string, ask: Ask): Promise<Answer>;
  /**
   * The events that the observer received. There are none while S3 answers and only the service writes to the
   * bucket.
   */
  observer: string[];
  close(): Promise<void>;
}

/** Parts of a few bytes keep the tests fast. */
export const PART_RULE = { unitBytes: LEAST_PART_BYTES, maxBytes: 1_000 * LEAST_PART_BYTES };

const CALL_TIMEOUT_MS = 20_000;

interface Wrap {
  database(database: Database): Database;
  objects(objects: ObjectStore): ObjectStore;
  multipart(multipart: MultipartStore): MultipartStore;
}

/** @param wrap wraps the ports of the operations, for tests that stop at a step */
export function openPorts(servers: Servers, wrap?: Wrap): Ports {
  const poolOptions = {
    url: servers.databaseUrl,
    maxConnections: 4,
    connectTimeoutMs: 10_000,
    statementTimeoutMs: 10_000,
    onIdleError: () => undefined,
  };
  const pool = createPool(poolOptions);
  const { bucket } = servers;
  const location = { ...servers, forcePathStyle: true };
  const client = createClient(location);
  const database = createDatabase(pool, (_, run) => run(), poolOptions);
  const send = createSend((_, run) => run());
  const s3 = createObjectStore(client, location, send);
  const s3Multipart = createMultipartStore(client, bucket, send);
  const store = createFileStore(wrap?.database(database) ?? database, STORE_LIMITS);
  const objects = wrap?.objects(s3) ?? s3;
  const multipart = wrap?.multipart(s3Multipart) ?? s3Multipart;
  const presigner = createPresigner(createSign(client, location), {
    uploadSeconds: STORE_LIMITS.urlSeconds,
    downloadSeconds: 300,
  });
  const events: string[] = [];
  const observer = {
    contentMismatch: (_: Call, s3Key: string) => void events.push(`content mismatch: ${s3Key}`),
    storageFailed: (step: string, error: unknown) => void events.push(`${step}: ${String(error)}`),
  };
  const ports = { store, objects, multipart, presigner, observer };
  const create = createPresignedUpload(ports);
  const list = listFiles(ports);
  const get = getFile(ports);
  const download = createPresignedDownload(ports);
  const remove = deleteFile(ports);
  const begin = createMultipartUpload(ports, { ...PART_RULE, lifeSeconds: STORE_LIMITS.multipartSeconds });
  const presign = createPresignedParts(ports);
  const complete = completeMultipartUpload(ports);

  async function answer(userId: string, ask: Ask): Promise<Answer> {
    const call = { userId, deadline: Date.now() + CALL_TIMEOUT_MS };
    switch (ask.method) {
      case 'create': {
        const { filename, md5 } = ask.content;
        const answer = await create(call, { filename, mimeType: 'text/plain', md5 });
        const { s3Key } = answer;
        if (answer.type === 'existing') return { heard: 'EXISTING', s3Key };
        return { heard: 'NEW', s3Key, url: answer.upload.url, headers: answer.upload.requiredHeaders };
      }
      case 'begin': {
        const { filename, parts } = ask.content;
        const request = {
          filename,
          mimeType: 'video/mp4',
          size: BigInt(Buffer.byteLength(parts.join(''))),
          partMd5s: parts.map((part) => Buffer.from(md5(part), 'base64')),
        };
        const answer = await begin(call, request);
        const { s3Key } = answer;
        if (answer.type === 'existing') return { heard: 'EXISTING', s3Key };
        return { heard: 'UPLOAD', s3Key, missing: answer.missingPartNumbers };
      }
      case 'presign':
        return { heard: 'parts', s3Key: ask.s3Key, urls: (await presign(call, ask)).urls };
      case 'complete':
        return { heard: 'file', state: (await complete(call, ask.s3Key)).state };
      case 'list': {
        const page = await list(call, { pageSize: 1_000, pageToken: '', filenamePrefix: '' });
        return { heard: 'list', keys: page.files.map(({ s3Key }) => s3Key).sort() };
      }
      case 'get':
        return { heard: 'file', state: (await get(call, ask.s3Key)).state };
      case 'download':
        return { heard: 'file', state: (await download(call, ask.s3Key)).file.state };
      case 'delete':
        await remove(call, ask.s3Key);
        return { heard: 'OK' };
      case 'sweep':
        throw new Error('a sweep is not a request of a client');
    }
  }

  return {
    pool,
    store,
    objects,
    multipart,
    sweepOne: sweepOne(ports),
    async perform(userId, ask) {
      try {
        return await answer(userId, ask);
      } catch (error) {
        if (error instanceof FileError) return { heard: error.reason };
        throw error;
      }
    },
    observer: events,
    async close() {
      await pool.end();
      client.destroy();
    },
  };
}
