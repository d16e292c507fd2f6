import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import type { Caller, Unary } from './callers.ts';

export interface LoadFigures {
  readonly calls: number;
  readonly slowestMs: number;
  /** `<rpc>: <code and message>`, one for each call that failed. */
  readonly failures: readonly string[];
}

export interface SteadyLoad {
  /** Ends each user's life after the one that it is in. */
  stop(): Promise<LoadFigures>;
}

/** Between two calls of a user: the service is to be busy, and not to be short of anything. */
const PAUSE_MS = 10;

const { createPresignedUpload, getFile, listFiles, createPresignedDownload, deleteFile } = FileService.method;

/** Users who live the whole life of a file, over and over, each with one call under way. */
export function startSteadyLoad(caller: Caller, users: number): SteadyLoad {
  let stopped = false;
  let calls = 0;
  let slowestMs = 0;
  const failures: string[] = [];

  const noting: Unary = async (method, request, userId) => {
    const startMs = performance.now();
    calls++;
    try {
      return await caller.unary(method, request, userId);
    } catch (error) {
      failures.push(`${method.name}: ${(error as Error).message}`);
      throw error;
    } finally {
      slowestMs = Math.max(slowestMs, performance.now() - startMs);
      await sleep(PAUSE_MS);
    }
  };

  async function life(userId: string): Promise<void> {
    const bytes = randomBytes(16).toString('hex');
    const request = { filename: 'a.txt', mimeType: 'text/plain', md5: md5(bytes) };
    const created = await noting(createPresignedUpload, request, userId);
    const { s3Key } = created;
    await noting(getFile, { s3Key }, userId);
    await put(created, bytes);
    await noting(listFiles, {}, userId);
    await noting(createPresignedDownload, { s3Key }, userId);
    await noting(deleteFile, { s3Key }, userId);
  }

  async function user(): Promise<void> {
    const userId = newUser();
    // A life that a failure ends is told by that failure.
    while (!stopped) await life(userId).catch(() => {});
  }

  const done = Promise.all(Array.from({ length: users }, user));
  return {
    async stop() {
      stopped = true;
      await done;
      caller[Symbol.dispose]();
      return { calls, slowestMs, failures };
    },
  };
}
