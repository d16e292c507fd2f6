/**
 * `src/hints` takes the messages that S3 servers send when an object was written, at `POST /storage-events`.
 * A message is a hint and is never believed. It only makes the row of a pending file due, so that the sweeper
 * (`src/files/maintenance/sweeper.ts`) asks S3 for the object now and not some seconds later. So a forged, repeated, late
 * or unordered message does no harm. The answer does not tell which files exist.
 *
 * The token of the sender and the reading of bodies do not belong here, but in `src/rpc/http/json-endpoint`.
 */
import { createDueQueue, type DueQueueOptions, QueueFullError } from './due-queue.ts';
import { hintedFiles, RECORDS_MAX } from './hinted-files.ts';

/** How a message was handled. The metric `files_storage_events_total` counts messages by it. */
export type MessageOutcome =
  /** Its files are due, if they are pending. */
  | 'taken'
  /** It is about no file of this service: another bucket, another key, or another kind of message. */
  | 'ignored'
  /** Its token is wrong, it is no JSON, or it is too large. */
  | 'refused'
  /** Postgres did not answer, or there were too many messages. The sender must repeat the message. */
  | 'failed';

interface StorageEventsOptions extends DueQueueOptions {
  token: string;
  /** The bucket of the service. Its name in messages has no prefix for the tenant of a Ceph RGW. */
  bucket: string;
  onMessage: (outcome: MessageOutcome) => void;
  /** Called with what `makeDue` has thrown. */
  onError: (error: unknown) => void;
}

/** AWS sends at most 256 KB in a message. A record has about 1 kB. */
const BODY_MAX_BYTES = 1024 * 1024;

/**
 * A record has about 40 values. A message with more values in all than this is refused before it is decoded: 500,000
 * brackets in 1 MiB took 42 ms to decode, 40,000 values at most 16 ms.
 */
const VALUES_MAX = 40_000;

/** The endpoint of `src/rpc/http/json-endpoint` for `/storage-events`. */
export function createStorageEvents(options: StorageEventsOptions) {
  const { token, bucket, onMessage, onError } = options;
  const queue = createDueQueue(options);

  /** @returns the answer over HTTP. A sender repeats a message that got 503. */
  async function receive(message: unknown): Promise<{ status: number; text?: string }> {
    const files = hintedFiles(message, bucket);
    if (files === undefined) {
      onMessage('refused');
      return { status: 413, text: `a message must have at most ${RECORDS_MAX} records` };
    }
    if (files.length === 0) {
      onMessage('ignored');
      return { status: 204 };
    }
    try {
      await queue.add(files);
    } catch (error) {
      onMessage('failed');
      if (!(error instanceof QueueFullError)) onError(error);
      return { status: 503, text: 'the message could not be handled; repeat it' };
    }
    onMessage('taken');
    return { status: 204 };
  }

  return {
    token,
    maxBytes: BODY_MAX_BYTES,
    maxValues: VALUES_MAX,
    receive,
    onRefused: (status: number) => onMessage(status === 503 ? 'failed' : 'refused'),
  };
}
