import { ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import type { FileCalls } from '../upload/file-calls.ts';

/**
 * The service limits the number of pending uploads (created, but not yet READY) of a user. If it refuses a create for
 * that reason, the create waits until another upload of the same `uploadMany` ends, and is then repeated.
 */
export function createPendingRoom(calls: FileCalls, signal: AbortSignal) {
  /** The number of uploads that are under way and do not wait in `create`. */
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
          // If no other upload is active, nothing that this `uploadMany` does can make room. Then a wait would not end.
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
