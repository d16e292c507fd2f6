/**
 * `src/cli/upload` is the command `npm run upload`: its arguments, its connection to the service, and the run itself.
 * `find` finds the files to upload, and `output` prints. The steps of an upload do not belong here, because they are in
 * the client package (`src/client`).
 */
import type { Client } from '@connectrpc/connect';
import { type FileService, type Md5Cache, type UploadOutcome, uploadMany } from '../../client/node.ts';
import { failsForEachFile, failureOf } from './failure.ts';
import type { FailedEntry, FileItem } from './find/items.ts';
import type { Report } from './output/report.ts';
import type { RetryOf } from './output/retry-lines.ts';
import { countStored, emptyTally, type RunEnd, type Tally } from './tally.ts';

/** The state of a run at this moment. The progress line reads it. */
export interface RunState {
  readonly tally: Tally;
  /** The files that the client has taken and that are not done. */
  readonly underWay: Set<FileItem>;
  /** Bytes of all files, done or not. */
  bytesHashed: number;
  bytesSent: number;
}

export function newRunState(): RunState {
  return { tally: emptyTally(), underWay: new Set(), bytesHashed: 0, bytesSent: 0 };
}

interface UploadFilesOptions {
  report: Report;
  concurrency: number;
  md5Cache: Md5Cache | undefined;
  signal: AbortSignal;
  onRetry: (retry: RetryOf) => void;
}

/**
 * Uploads the files, and reports each of them as soon as it is done. An entry that fails does not stop the others,
 * unless the same error would occur for all of them.
 */
export async function uploadFiles(
  client: Client<typeof FileService>,
  items: AsyncIterable<FileItem | FailedEntry>,
  state: RunState,
  { report, concurrency, md5Cache, signal, onRetry }: UploadFilesOptions,
): Promise<RunEnd> {
  const { tally, underWay } = state;
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const fail = ({ path, failure }: FailedEntry) => {
    tally.failed += 1;
    report.failed(path, failure);
  };
  async function* files() {
    for await (const item of items) {
      if (either.aborted) return;
      if ('failure' in item) fail(item);
      else {
        underWay.add(item);
        yield item;
      }
    }
  }
  const settle = (outcome: UploadOutcome<FileItem>) => {
    const { item } = outcome;
    underWay.delete(item);
    if ('result' in outcome) {
      countStored(tally, outcome.result);
      report.stored(item, outcome.result);
    } else {
      fail({ path: item.path, failure: failureOf(outcome.error, item.source) });
      if (failsForEachFile(outcome.error)) stop.abort(outcome.error);
    }
  };
  try {
    await uploadMany(client, files(), {
      concurrency,
      ...(md5Cache !== undefined && { md5Cache }),
      signal: either,
      onOutcome: settle,
      onProgress: ({ bytesHashed, bytesSent }) => Object.assign(state, { bytesHashed, bytesSent }),
      onRetry: ({ item, ...retry }) => onRetry({ path: item.path, ...retry }),
    });
  } catch (error) {
    if (!either.aborted) throw error;
  }
  return signal.aborted ? 'interrupted' : stop.signal.aborted ? 'stopped' : 'complete';
}
