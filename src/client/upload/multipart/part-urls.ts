import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';
import type { CreatePresignedPartsResponse } from '../../../../gen/files/v1/file_service_pb.ts';
import type { PutTarget } from '../platform.ts';

/**
 * How many URLs one call requests. The number is small, so that even a slow connection uses all URLs before
 * they expire. It is large enough that the time of the calls does not matter.
 */
const BATCH = 16;

/**
 * @param ask requests the URLs of some parts with one call
 * @param numbers all part numbers, in the order in which `take` will be called: a call of `ask` also requests
 *   the URLs of the next parts
 */
export function createPartUrls(
  ask: (partNumbers: number[], signal: AbortSignal) => Promise<CreatePresignedPartsResponse>,
  numbers: readonly number[],
) {
  const ready = new Map<number, { target: PutTarget; staleMs: number }>();
  const untaken = new Set(numbers);
  /** Calls of `take` run one after the other, so that workers that start together share one batch. */
  let previousTake: Promise<unknown> = Promise.resolve();

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
    /** Returns the URL of each part once. A retry after a failure gets a fresh URL. */
    take(number: number, signal: AbortSignal): Promise<PutTarget> {
      const thisTake = previousTake.then(async () => {
        await fill(number, signal);
        const { target } = ready.get(number) ?? {};
        if (target === undefined) throw new Error(`the service returned no URL for part ${number}`);
        ready.delete(number);
        untaken.delete(number);
        return target;
      });
      previousTake = thisTake.catch(() => {});
      return thisTake;
    },
    /** Drops the URLs that were not taken. The next `take` requests new ones. */
    forget(): void {
      ready.clear();
    },
  };
}

/**
 * A URL counts as stale after half of its lifetime, so that a slow start or a slightly wrong clock of this
 * machine does not matter. If the clock is very wrong, every URL is stale at once. `take` then calls the
 * service for each part, and uses the returned URL without regard to the clock.
 */
function staleAt(expireTime: Timestamp | undefined): number {
  const lifeMs = expireTime === undefined ? 0 : timestampMs(expireTime) - Date.now();
  return performance.now() + lifeMs / 2;
}
