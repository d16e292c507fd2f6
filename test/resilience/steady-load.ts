import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import type { Caller, Unary } from './callers.ts';

export interface LoadFigures {
  readonly calls: number;
  readonly slowestMs: number;
  /** The duration of each call, of failed calls, too. */
  readonly durationsMs: readonly number[];
  /** An entry `<rpc>: <code and message>` for each call that failed. */
  readonly failures: readonly string[];
}

export interface SteadyLoad {
  /** Lets each user finish its current file, and then ends the load. */
  stop(): Promise<LoadFigures>;
}

/** The pause between two calls of a user, so that the service is busy but not overloaded. */
const PAUSE_MS = 10;

const { createPresignedUpload, getFile, listFiles, createPresignedDownload, deleteFile } = FileService.method;

/**
 * Starts users that create, upload, list, download and delete files again and again, each with one call under
 * way.
 */
export function startSteadyLoad(caller: Caller, users: number): SteadyLoad {
  let stopped = false;
  const durationsMs: number[] = [];
  const failures: string[] = [];

  const recordedCall: Unary = async (method, request, userId) => {
    const startMs = performance.now();
    try {
      return await caller.unary(method, request, userId);
    } catch (error) {
      failures.push(`${method.name}: ${(error as Error).message}`);
      throw error;
    } finally {
      durationsMs.push(performance.now() - startMs);
      await sleep(PAUSE_MS);
    }
  };

  async function useFile(userId: string): Promise<void> {
    const bytes = randomBytes(16).toString('hex');
    const request = { filename: 'a.txt', mimeType: 'text/plain', md5: md5(bytes) };
    const created = await recordedCall(createPresignedUpload, request, userId);
    const { s3Key } = created;
    await recordedCall(getFile, { s3Key }, userId);
    await put(created, bytes);
    await recordedCall(listFiles, {}, userId);
    await recordedCall(createPresignedDownload, { s3Key }, userId);
    await recordedCall(deleteFile, { s3Key }, userId);
  }

  async function user(): Promise<void> {
    const userId = newUser();
    // The failed call is recorded already, so its error can be ignored here.
    while (!stopped) await useFile(userId).catch(() => {});
  }

  const done = Promise.all(Array.from({ length: users }, user));
  return {
    async stop() {
      stopped = true;
      await done;
      caller[Symbol.dispose]();
      return {
        calls: durationsMs.length,
        slowestMs: durationsMs.reduce((slowest, ms) => Math.max(slowest, ms), 0),
        durationsMs,
        failures,
      };
    },
  };
}
