import type pg from 'pg';
import type { Call } from '../../src/files/call.ts';
import { FileError, type Reason } from '../../src/files/file-error.ts';
import type { sweepOne } from '../../src/files/maintenance/sweep.ts';
import type { UploadResult } from '../../src/files/operations/batch-create-presigned-uploads.ts';
import type { UploadAnswer } from '../../src/files/operations/create-presigned-upload.ts';
import type { EventQueue } from '../../src/files/ports/event-queue.ts';
import type { FileStore } from '../../src/files/ports/file-store.ts';
import type { MultipartStore } from '../../src/files/ports/multipart-store.ts';
import type { ObjectStore } from '../../src/files/ports/object-store.ts';
import { createDatabase, type Database } from '../../src/postgres/connection/database.ts';
import { createPool } from '../../src/postgres/connection/pool.ts';
import { createEventQueue } from '../../src/postgres/file-store/event-queue.ts';
import { LEAST_PART_BYTES } from '../harness/bucket.ts';
import { md5 } from '../harness/random.ts';
import { STORE_LIMITS } from '../harness/store-limits.ts';
import { openReconcile } from './crash-reconcile.ts';
import { openOperations } from './operations.ts';

/** The servers outside the process that is killed: they store rows and bytes, and take events. */
export interface Servers {
  databaseUrl: string;
  endpoint: string;
  region: string;
  bucket: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  /** If unset, events are off. */
  eventsUrl: string | undefined;
}

/** A request of a client. */
export type Ask =
  | { method: 'create'; content: Content }
  | { method: 'create many'; contents: Content[] }
  | { method: 'list' }
  | { method: 'get' | 'download' | 'delete' | 'complete'; s3Key: string }
  | { method: 'get many'; s3Keys: string[] }
  /** Requests of multipart uploads. */
  | { method: 'begin'; content: CutContent }
  | { method: 'presign'; s3Key: string; partNumbers: number[] }
  /** Background work. */
  | { method: 'sweep' | 'dispatch' }
  /** An operator's command, here for the files of one user. */
  | { method: 'reconcile'; action: 'repair' | 'adopt' };

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
  | { heard: 'many'; answers: Answer[] }
  | { heard: 'UPLOAD'; s3Key: string; missing: number[] }
  | { heard: 'parts'; s3Key: string; urls: PartUrl[] }
  | { heard: 'list'; keys: string[] }
  | { heard: 'file'; state: FileState }
  /** By key. A file that was not found is left out. */
  | { heard: 'files'; states: Record<string, FileState> }
  | { heard: 'OK' }
  | { heard: Reason };

type FileState = 'pending' | 'ready';

interface PartUrl {
  number: number;
  url: string;
  requiredHeaders: Record<string, string>;
}

/** An instance of the service without its protocols: its ports, and `perform`, which runs the request of a client. */
export interface Ports {
  pool: pg.Pool;
  store: FileStore;
  events: EventQueue;
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

const CALL_TIMEOUT_MS = 20_000;

interface Wrap {
  database(database: Database): Database;
  objects(objects: ObjectStore): ObjectStore;
  multipart(multipart: MultipartStore): MultipartStore;
}

/** @param wrap wraps the ports of the operations, for tests that stop at a step */
export function openPorts(servers: Servers, wrap?: Wrap): Ports {
  const poolOptions = {
    urls: [servers.databaseUrl],
    maxConnections: 4,
    connectTimeoutMs: 10_000,
    statementTimeoutMs: 10_000,
    onIdleError: () => undefined,
  };
  const pool = createPool(poolOptions);
  const database = createDatabase(pool, (_, run) => run(), poolOptions);
  const wrapped = wrap?.database(database) ?? database;
  const observed: string[] = [];
  const limits = { ...STORE_LIMITS, announcesChanges: servers.eventsUrl !== undefined };
  const operations = openOperations({
    database: wrapped,
    bucket: servers,
    limits,
    unitBytes: LEAST_PART_BYTES,
    observer: {
      partsMismatch: () => undefined,
      fileLost: () => undefined,
      contentMismatch: (_: Call, s3Key: string) => void observed.push(`content mismatch: ${s3Key}`),
      stepFailed: (step: string, error: unknown) => void observed.push(`${step}: ${String(error)}`),
    },
    ...(wrap && { wrap }),
  });
  const { client, create, createMany, list, get, getMany, download, remove, begin, presignParts, complete } =
    operations;
  const reconcileUser = openReconcile({
    ...operations,
    pool,
    database: wrapped,
    limits,
    bucket: servers.bucket,
  });

  async function answer(userId: string, ask: Ask): Promise<Answer> {
    const call = { userId, deadline: Date.now() + CALL_TIMEOUT_MS };
    switch (ask.method) {
      case 'create': {
        const { filename, md5 } = ask.content;
        return answerOf(await create(call, { filename, mimeType: 'text/plain', md5 }));
      }
      case 'create many': {
        const requests = ask.contents.map(({ filename, md5 }) => ({ filename, mimeType: 'text/plain', md5 }));
        return { heard: 'many', answers: (await createMany(call, requests)).map(answerOfOne) };
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
        return { heard: 'parts', s3Key: ask.s3Key, urls: (await presignParts(call, ask)).urls };
      case 'complete':
        return { heard: 'file', state: (await complete(call, ask.s3Key)).state };
      case 'list': {
        const page = await list(call, { pageSize: 1_000, pageToken: '', filenamePrefix: '' });
        return { heard: 'list', keys: page.files.map(({ s3Key }) => s3Key).sort() };
      }
      case 'get':
        return { heard: 'file', state: (await get(call, ask.s3Key)).state };
      case 'get many': {
        const { files } = await getMany(call, ask.s3Keys);
        return {
          heard: 'files',
          states: Object.fromEntries(files.map(({ s3Key, state }) => [s3Key, state])),
        };
      }
      case 'reconcile':
        await reconcileUser(userId, ask.action);
        return { heard: 'OK' };
      case 'download':
        return { heard: 'file', state: (await download(call, ask.s3Key)).file.state };
      case 'delete':
        await remove(call, ask.s3Key);
        return { heard: 'OK' };
      case 'sweep':
      case 'dispatch':
        throw new Error('background work is not a request of a client');
    }
  }

  return {
    pool,
    store: operations.store,
    events: createEventQueue(wrapped),
    objects: operations.objects,
    multipart: operations.multipart,
    sweepOne: operations.sweepOne,
    async perform(userId, ask) {
      try {
        return await answer(userId, ask);
      } catch (error) {
        if (error instanceof FileError) return { heard: error.reason };
        throw error;
      }
    },
    observer: observed,
    async close() {
      await pool.end();
      client.destroy();
    },
  };
}

function answerOf(answer: UploadAnswer): Answer {
  const { s3Key } = answer;
  if (answer.type === 'existing') return { heard: 'EXISTING', s3Key };
  return { heard: 'NEW', s3Key, url: answer.upload.url, headers: answer.upload.requiredHeaders };
}

function answerOfOne(result: UploadResult): Answer {
  if (result.status === 'fulfilled') return answerOf(result.value);
  if (result.reason instanceof FileError) return { heard: result.reason.reason };
  throw result.reason;
}
