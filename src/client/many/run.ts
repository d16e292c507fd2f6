import type { Client } from '@connectrpc/connect';
import type { FileService } from '../../../gen/files/v1/file_service_pb.ts';
import type { FoundSource, Platform, PutClient } from '../upload/platform.ts';
import {
  type Session,
  type UploadOptions,
  type UploadResult,
  uploadInSession,
} from '../upload/upload-file.ts';
import { batchCalls } from './batch-calls.ts';
import { createGate, type Gate } from './gate.ts';
import { createManyProgressMeter } from './many-progress.ts';
import type { UploadItem, UploadManyOptions } from './options.ts';
import { createPendingRoom } from './pending-room.ts';
import type { Surveyed } from './survey.ts';
import { createTurns } from './turns.ts';

const PUTS_AT_ONCE = 32;

/** The parts of one file that are sent at once: as many as by default in `uploadFile`. */
const PARTS_AT_ONCE = 4;

/** Creates what the files of one call of `uploadMany` share: connections, batched calls, figures, and a signal. */
export function startRun<Source, Body, Item extends UploadItem<Source>>(
  platform: Platform<Source, Body>,
  client: Client<typeof FileService>,
  options: UploadManyOptions<Item>,
) {
  const { concurrency = PUTS_AT_ONCE } = options;
  const stop = new AbortController();
  const signal: AbortSignal = stop.signal;
  // A signal of `AbortSignal.any` would keep the run in memory, with 5 kB or more, until the signal of the caller is
  // aborted (Node 24).
  const stopWithCaller = () => stop.abort(options.signal?.reason);
  options.signal?.addEventListener('abort', stopWithCaller);
  const progress = createManyProgressMeter(options.onProgress);
  const room = createPendingRoom(batchCalls(client, signal), signal);
  const puts = platform.createPutClient();
  const session: Session<Body> = {
    client,
    calls: room.calls,
    puts: limited(puts, createGate(concurrency)),
    inTurn: createTurns(),
  };
  let existing = 0;

  const uploadOne = ({ item, found }: Surveyed<Item, Body>): Promise<UploadResult> => {
    const { filename, mimeType } = item;
    const { retryForMs, multipartFromBytes, onRetry } = options;
    const uploadOptions: UploadOptions = {
      concurrency: Math.min(concurrency, PARTS_AT_ONCE),
      signal,
      onProgress: progress.ofFile(found.sizeBytes),
      ...(filename !== undefined && { filename }),
      ...(mimeType !== undefined && { mimeType }),
      ...(retryForMs !== undefined && { retryForMs }),
      ...(multipartFromBytes !== undefined && { multipartFromBytes }),
      ...(onRetry !== undefined && { onRetry: (retry) => onRetry({ item, ...retry }) }),
    };
    return room.during(() => uploadInSession(session, found, uploadOptions));
  };
  return {
    signal,
    stop: (error: unknown): void => stop.abort(error),
    async find({ source }: Item): Promise<FoundSource<Body>> {
      const found = await platform.find(source).catch(() => missing(platform, source));
      progress.found(found.sizeBytes);
      return found;
    },
    /** Never rejects: an error of the file becomes its outcome, and an error of a callback stops all uploads. */
    async upload(surveyed: Surveyed<Item, Body>): Promise<void> {
      const { item } = surveyed;
      try {
        const outcome = await uploadOne(surveyed).then(
          (result) => ({ item, result }),
          (error: unknown) => ({ item, error }),
        );
        if (signal.aborted) return;
        if ('result' in outcome && outcome.result.existing) existing += 1;
        progress.ended('result' in outcome);
        options.onOutcome?.(outcome);
      } catch (error) {
        stop.abort(error);
      }
    },
    close(): void {
      options.signal?.removeEventListener('abort', stopWithCaller);
      puts.close();
    },
    summary() {
      progress.report();
      const { bytesTotal } = progress;
      const { filesDone, filesFailed, bytesSent } = progress.now;
      return { uploaded: filesDone - existing, existing, failed: filesFailed, bytesTotal, bytesSent };
    },
  };
}

/** A source that was not found counts as 0 bytes. It is looked for once more when its upload begins. */
function missing<Source, Body>(platform: Platform<Source, Body>, source: Source): FoundSource<Body> {
  return { sizeBytes: 0, open: async () => (await platform.find(source)).open() };
}

/** Limits the number of PUTs that are sent at once to the capacity of the gate. */
function limited<Body>(puts: PutClient<Body>, gate: Gate): PutClient<Body> {
  return {
    async put(target, body, options) {
      const leave = await gate.enter(1, options.signal);
      try {
        await puts.put(target, body, options);
      } finally {
        leave();
      }
    },
    close: () => puts.close(),
  };
}
