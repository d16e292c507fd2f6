import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';
import type { CreatePresignedPartsResponse } from '../../../gen/files/v1/file_service_pb.ts';
import type { PutTarget } from '../put.ts';

/** Few, so that on a slow line they are used before they expire; enough that the calls do not count. */
const BATCH = 16;

/** Gives out each part's URL once: whoever needs another one, after a failure, gets a fresh one. */
export interface PartUrls {
  take(number: number, signal: AbortSignal): Promise<PutTarget>;
}

/**
 * @param ask one call for some parts
 * @param numbers in the order in which they will be taken: those that come next are asked for along the way
 */
export function createPartUrls(
  ask: (partNumbers: number[], signal: AbortSignal) => Promise<CreatePresignedPartsResponse>,
  numbers: readonly number[],
): PartUrls {
  const ready = new Map<number, { target: PutTarget; staleMs: number }>();
  const untaken = new Set(numbers);
  /** One after the other, so that lanes that start together share a call. */
  let turn: Promise<unknown> = Promise.resolve();

  const isFresh = (number: number) => performance.now() < (ready.get(number)?.staleMs ?? 0);
  const fill = async (number: number, signal: AbortSignal) => {
    if (isFresh(number)) return;
    const batch = [number];
    for (const next of untaken) {
      if (batch.length === BATCH) break;
      if (next !== number && !isFresh(next)) batch.push(next);
    }
    const { parts, expireTime } = await ask(batch, signal);
    const staleMs = staleAt(expireTime);
    for (const { partNumber, presignedUrl, requiredHeaders } of parts) {
      ready.set(partNumber, { target: { url: presignedUrl, headers: requiredHeaders }, staleMs });
    }
  };
  return {
    take(number, signal) {
      const mine = turn.then(async () => {
        await fill(number, signal);
        const { target } = ready.get(number) ?? {};
        if (target === undefined) throw new Error(`the service gave no URL for part ${number}`);
        ready.delete(number);
        untaken.delete(number);
        return target;
      });
      turn = mine.catch(() => {});
      return mine;
    },
  };
}

/**
 * After half of its life, so that neither a slow start nor a slightly wrong clock matters. By a very wrong clock all
 * are stale: then each part asks for itself, and what it gets is used whatever the clock says.
 */
function staleAt(expireTime: Timestamp | undefined): number {
  const lifeMs = expireTime === undefined ? 0 : timestampMs(expireTime) - Date.now();
  return performance.now() + lifeMs / 2;
}
