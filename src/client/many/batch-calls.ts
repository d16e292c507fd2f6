/**
 * The calls of `uploadMany` to the service. Each call of BatchCreatePresignedUploads or BatchGetFiles stands for the
 * calls of CreatePresignedUpload or GetFile of many files.
 */
import { type Client, Code, ConnectError } from '@connectrpc/connect';
import { type File, FileState } from '../../../gen/files/v1/file_pb.ts';
import type { CreatePresignedUploadResponse, FileService } from '../../../gen/files/v1/file_service_pb.ts';
import { type CreateRequest, callOptions, type FileCalls, singleCalls } from '../upload/file-calls.ts';
import { retryInfoMs } from '../upload/retry.ts';
import { runWorkers } from '../upload/run-workers.ts';
import { createBatcher } from './batcher.ts';
import { errorOfStatus } from './status.ts';

/**
 * The most files in one call. With names of 255 characters, the message stays below half of the 512 KiB that the
 * service accepts.
 */
const BATCH_MAX = 200;

/**
 * The number of BatchGetFiles calls that may run at once. These calls take the longest, because the service asks S3
 * about each pending file. With only one such call at a time, uploads to a near S3 would have to wait for it.
 */
const CONFIRMATIONS_AT_ONCE = 2;

/** The number of calls that run at once if the service is too old for the two batch methods. */
const SINGLE_CALLS_AT_ONCE = 8;

/**
 * `enough` files are sent in a call at once. Fewer files wait `lingerMs` for more files, because a call for 64 files
 * costs little more than a call for one. The wait is short, so that the connections to S3 do not run out of work.
 */
const BATCHING = { max: BATCH_MAX, enough: 64, lingerMs: 20 };

/** @param signal ends all calls */
export function batchCalls(client: Client<typeof FileService>, signal: AbortSignal): FileCalls {
  const single = singleCalls(client);
  const hasBatches = createBatchDetector();
  const create = createBatcher<CreateRequest, CreatePresignedUploadResponse>({
    ...BATCHING,
    calls: 1,
    signal,
    pauseAfter: (error) => retryInfoMs(error) ?? 0,
    send: (requests) =>
      hasBatches(
        () => createAll(client, requests, signal),
        () => each(requests, signal, (request) => single.create(request, signal)),
      ),
  });
  const get = createBatcher<string, Lookup>({
    ...BATCHING,
    calls: CONFIRMATIONS_AT_ONCE,
    signal,
    pauseAfter: (error) => retryInfoMs(error) ?? 0,
    send: (s3Keys) =>
      hasBatches(
        () => getAll(client, s3Keys, signal),
        () =>
          each(s3Keys, signal, async (s3Key) => ({ file: await single.get(s3Key, signal), isFinal: true })),
      ),
  });
  return {
    create,
    async get(s3Key) {
      const { file, isFinal } = await get(s3Key);
      // BatchGetFiles returns a file that failed its verification as PENDING. GetFile throws the reason.
      return isFinal ? file : single.get(s3Key, signal);
    },
  };
}

async function createAll(client: Client<typeof FileService>, requests: CreateRequest[], signal: AbortSignal) {
  const { results } = await client.batchCreatePresignedUploads({ requests }, callOptions(signal));
  return results.map(({ result }) => {
    if (result.case === 'response') return result.value;
    return errorOfStatus(result.value);
  });
}

interface Lookup {
  file: File | undefined;
  /** False if the batch does not tell why the file is not READY, so that GetFile must be called. */
  isFinal: boolean;
}

async function getAll(client: Client<typeof FileService>, s3Keys: string[], signal: AbortSignal) {
  const { files, unverifiedUploads } = await client.batchGetFiles({ s3Keys }, callOptions(signal));
  const byKey = new Map(files.map((file) => [file.s3Key, file]));
  return s3Keys.map((s3Key): Lookup | Error => {
    const file = byKey.get(s3Key);
    if (file?.state === FileState.READY) return { file, isFinal: true };
    if (file === undefined || unverifiedUploads === 0) return { file, isFinal: false };
    return new ConnectError('the service could not verify the upload in time', Code.Unavailable);
  });
}

/**
 * The returned function runs `batch`. A service of an older version answers UNIMPLEMENTED to a batch method. After the
 * first such answer, the function runs `one` instead of `batch`, for this request and for all later ones.
 */
function createBatchDetector() {
  let isUnimplemented = false;
  return async <Result>(batch: () => Promise<Result>, one: () => Promise<Result>): Promise<Result> => {
    if (isUnimplemented) return one();
    try {
      return await batch();
    } catch (error) {
      if (!(error instanceof ConnectError) || error.code !== Code.Unimplemented) throw error;
      isUnimplemented = true;
      return one();
    }
  };
}

/**
 * Makes one call for each request, SINGLE_CALLS_AT_ONCE at a time. The error of a call takes the place of its response.
 */
async function each<Request, Response>(
  requests: Request[],
  signal: AbortSignal,
  call: (request: Request) => Promise<Response>,
): Promise<(Response | Error)[]> {
  const responses: (Response | Error)[] = [];
  const left = requests.entries();
  await runWorkers(SINGLE_CALLS_AT_ONCE, signal, async () => {
    for (const [i, request] of left) {
      responses[i] = await call(request).catch((error: unknown) =>
        error instanceof Error ? error : new Error(String(error)),
      );
    }
  });
  return responses;
}
