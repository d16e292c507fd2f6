import { ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import type { FileCalls } from '../upload/file-calls.ts';

/**
 * The service allows a user only so many pending uploads. A create above the limit waits until another upload of this
 * run ends, which makes room, and is then repeated.
 */
export function createPendingRoom(calls: FileCalls, signal: AbortSignal) {
  /** Uploads that are under way, without those that wait here. */
  let active = 0;
  let waiting: (() => void)[] = [];
  const wakeAll = (): void => {
    const awake = waiting;
    waiting = [];
    active += awake.length;
    for (const wake of awake) wake();
  };
  signal.addEventListener('abort', wakeAll);
  const roomCalls: FileCalls = {
    get: calls.get,
    async create(request) {
      for (;;) {
        try {
          return await calls.create(request, signal);
        } catch (error) {
          // Without another upload of this run, nothing that this run does makes room.
          if (!isTooManyPending(error) || active <= 1 || signal.aborted) throw error;
          active -= 1;
          await new Promise<void>((resolve) => waiting.push(resolve));
        }
      }
    },
  };
  return {
    calls: roomCalls,
    /** Runs one upload, which calls `create` at most once at a time. */
    async during<Result>(upload: () => Promise<Result>): Promise<Result> {
      active += 1;
      try {
        return await upload();
      } finally {
        active -= 1;
        wakeAll();
      }
    },
  };
}

function isTooManyPending(error: unknown): boolean {
  if (!(error instanceof ConnectError)) return false;
  return error.findDetails(ErrorInfoSchema).some(({ reason }) => reason === 'TOO_MANY_PENDING_UPLOADS');
}
