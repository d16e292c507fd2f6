/**
 * `src/client/upload/multipart` is the multipart upload of the client: it cuts a file into parts, asks the service
 * which parts S3 misses, gets their URLs in batches, and sends only those parts.
 *
 * Hashing, PUTs and retries do not belong here: they are in the folder above, because an upload with one PUT
 * uses them too.
 */
import { ConnectError } from '@connectrpc/connect';
import { type CreateMultipartUploadResponse, UploadType } from '../../../../gen/files/v1/file_service_pb.ts';
import { type ErrorInfo, ErrorInfoSchema } from '../../../../gen/google/rpc/error_details_pb.ts';
import { callOptions } from '../file-calls.ts';
import { PutError } from '../put-error.ts';
import { runWorkers } from '../run-workers.ts';
import { readyFile, type Transfer, type Transferred } from '../transfer.ts';
import { type PartPlan, planParts, publishedPartBytes } from './part-plan.ts';
import { createPartUrls } from './part-urls.ts';

/**
 * How many rounds `uploadMultipart` tries before it throws the error of the last round. Each round sends only the
 * missing parts.
 */
const ROUNDS_MAX = 5;

/**
 * Uploads the file, or the rest of the file if an earlier run has sent some parts. A new upload and a resumed upload
 * need the same steps: the service lists the missing parts, and the client sends them.
 */
export async function uploadMultipart(transfer: Transfer): Promise<Transferred> {
  const { client, progress, retry, signal } = transfer;
  const { plan, md5s, answer: first } = await begin(transfer);
  for (let round = 1, answer = first; ; round++) {
    const { s3Key, missingPartNumbers } = answer;
    if (answer.type === UploadType.EXISTING) {
      return { file: await readyFile(transfer, s3Key), existing: round === 1 };
    }
    progress.resumed(transfer.source.sizeBytes - bytesOf(plan, missingPartNumbers));
    progress.enter('sending');
    try {
      await sendParts(transfer, answer, plan, md5s);
      progress.enter('completing');
      await retry(signal, () => client.completeMultipartUpload({ s3Key }, callOptions(signal)));
      return { file: await readyFile(transfer, s3Key), existing: false };
    } catch (error) {
      if (round === ROUNDS_MAX || !canAnotherRoundHelp(error)) throw error;
    }
    answer = await retry(signal, () => ask(transfer, md5s, signal));
  }
}

interface Begun {
  plan: PartPlan;
  md5s: Uint8Array[];
  answer: CreateMultipartUploadResponse;
}

/**
 * Cuts the file into parts of the published size (`part-plan.ts`), hashes the parts, and creates the upload. A
 * service can be configured with another part size. The client then cuts and hashes the file once more, with the
 * part size that the service returned.
 */
async function begin(transfer: Transfer, servicePartBytes?: number): Promise<Begun> {
  const { retry, signal } = transfer;
  const { sizeBytes } = transfer.source;
  const plan = planParts(sizeBytes, servicePartBytes ?? publishedPartBytes(sizeBytes));
  const md5s = await hash(transfer, plan);
  const answer = await retry(signal, () => ask(transfer, md5s, signal)).catch((error: unknown) => {
    if (servicePartBytes !== undefined) throw error;
    return { partSize: partSizeIn(error) };
  });
  // A service with another part size accepts the request if its part size gives the same number of parts, because
  // the request contains no part size. The part size in the answer shows the difference.
  if (!('s3Key' in answer) || answer.partSize !== BigInt(plan.partBytes)) {
    if (servicePartBytes !== undefined) throw new Error('the service returned two part sizes for one file');
    return begin(transfer, Number(answer.partSize));
  }
  return { plan, md5s, answer };
}

async function hash({ source, progress, signal }: Transfer, { parts }: PartPlan): Promise<Uint8Array[]> {
  const md5s = await source.md5s(parts, { signal, onHashed: progress.hashed });
  await source.assertUnchanged();
  return md5s;
}

function ask(
  { client, source, filename, mimeType }: Transfer,
  partMd5s: Uint8Array[],
  signal: AbortSignal,
): Promise<CreateMultipartUploadResponse> {
  const request = { filename, mimeType, size: BigInt(source.sizeBytes), partMd5s };
  return client.createMultipartUpload(request, callOptions(signal));
}

/** The part size of the service, from its INVALID_PARTS error. @throws every other error unchanged */
function partSizeIn(error: unknown): bigint {
  const info = infoOf(error);
  const partSize = info?.reason === 'INVALID_PARTS' ? info.metadata.part_size : undefined;
  if (partSize === undefined || !(Number(partSize) > 0)) throw error;
  return BigInt(partSize);
}

async function sendParts(
  transfer: Transfer,
  { s3Key, missingPartNumbers: numbers }: CreateMultipartUploadResponse,
  plan: PartPlan,
  md5s: Uint8Array[],
): Promise<void> {
  const { client, concurrency, put, retry } = transfer;
  const urls = createPartUrls(
    (partNumbers, signal) => client.createPresignedParts({ s3Key, partNumbers }, callOptions(signal)),
    numbers,
  );
  const left = numbers.values();
  await runWorkers(Math.min(concurrency, numbers.length), transfer.signal, async (signal) => {
    for (const number of left) {
      const part = plan.parts[number - 1];
      if (part === undefined) throw new Error(`the service requests part ${number} of ${plan.parts.length}`);
      let mayBeLost = false;
      await retry(signal, async () => {
        if (mayBeLost) {
          await ask(transfer, md5s, signal);
          urls.forget();
          mayBeLost = false;
        }
        const target = await urls.take(number, signal);
        await put(target, part, signal).catch((error: unknown) => {
          mayBeLost = isPerhapsLost(error);
          throw error;
        });
      });
    }
  });
}

function bytesOf({ parts }: PartPlan, numbers: readonly number[]): number {
  return numbers.reduce((bytes, number) => {
    const { start = 0, end = 0 } = parts[number - 1] ?? {};
    return bytes + end - start;
  }, 0);
}

/**
 * True when S3 lost the upload or one of its parts, another client wrote a part, or another client completed
 * the upload. CreateMultipartUpload then returns the present state of the upload, from which the next round
 * goes on.
 */
function canAnotherRoundHelp(error: unknown): boolean {
  if (error instanceof PutError) return error.code === 'NoSuchUpload';
  return ['UPLOAD_INCOMPLETE', 'CONTENT_MISMATCH', 'UPLOAD_COMPLETE'].includes(infoOf(error)?.reason ?? '');
}

/**
 * True when a part had no answer: if a server (versitygw) has lost the upload, it closes the connection, and its answer
 * `NoSuchUpload` does not arrive. CreateMultipartUpload then begins the upload again, with other URLs.
 */
function isPerhapsLost(error: unknown): boolean {
  return error instanceof PutError && error.status === undefined;
}

function infoOf(error: unknown): ErrorInfo | undefined {
  return error instanceof ConnectError ? error.findDetails(ErrorInfoSchema)[0] : undefined;
}
