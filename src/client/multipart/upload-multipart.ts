import { ConnectError } from '@connectrpc/connect';
import { type CreateMultipartUploadResponse, UploadType } from '../../../gen/files/v1/file_service_pb.ts';
import { type ErrorInfo, ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { md5OfRanges } from '../md5.ts';
import { PutError } from '../put.ts';
import { runWorkers } from '../run-workers.ts';
import { callOptions, readyFile, sending, type Transfer, type Transferred } from '../transfer.ts';
import { type PartPlan, planParts, publishedPartBytes } from './part-plan.ts';
import { createPartUrls } from './part-urls.ts';

/** How often what went wrong with the upload as a whole is mended; each time only what is missing is sent. */
const ROUNDS_MAX = 5;

/** Beginning and resuming are one: S3 says what is missing, and that is sent. */
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
      await sendParts(transfer, s3Key, plan, missingPartNumbers);
      progress.enter('completing');
      await retry(signal, () => client.completeMultipartUpload({ s3Key }, callOptions(signal)));
      return { file: await readyFile(transfer, s3Key), existing: false };
    } catch (error) {
      if (round === ROUNDS_MAX || !isMendedByAsking(error)) throw error;
    }
    answer = await ask(transfer, md5s);
  }
}

interface Begun {
  plan: PartPlan;
  md5s: Uint8Array[];
  answer: CreateMultipartUploadResponse;
}

/**
 * Cuts and hashes the file by the published rule, and once more if the service says that it cuts otherwise. A service
 * may be configured so.
 */
async function begin(transfer: Transfer, learned?: number): Promise<Begun> {
  const { sizeBytes } = transfer.source;
  const plan = planParts(sizeBytes, learned ?? publishedPartBytes(sizeBytes));
  const md5s = await hash(transfer, plan);
  const answer = await ask(transfer, md5s).catch((error: unknown) => {
    if (learned !== undefined) throw error;
    return { partSize: partSizeIn(error) };
  });
  // By chance as many parts as the service would make, but others: it could not know.
  if (!('s3Key' in answer) || answer.partSize !== BigInt(plan.partBytes)) {
    return begin(transfer, Number(answer.partSize));
  }
  return { plan, md5s, answer };
}

async function hash({ source, progress, signal }: Transfer, { parts }: PartPlan): Promise<Uint8Array[]> {
  const md5s = await md5OfRanges(source, parts, { signal, onHashed: progress.hashed });
  await source.assertUnchanged();
  return md5s;
}

function ask(transfer: Transfer, partMd5s: Uint8Array[]): Promise<CreateMultipartUploadResponse> {
  const { client, source, filename, mimeType, retry, signal } = transfer;
  const request = { filename, mimeType, size: BigInt(source.sizeBytes), partMd5s };
  return retry(signal, () => client.createMultipartUpload(request, callOptions(signal)));
}

/** How the service cuts the file. @throws the error, unless that is what it says */
function partSizeIn(error: unknown): bigint {
  const info = infoOf(error);
  const partSize = info?.reason === 'INVALID_PARTS' ? info.metadata.part_size : undefined;
  if (partSize === undefined || !(Number(partSize) > 0)) throw error;
  return BigInt(partSize);
}

async function sendParts(
  transfer: Transfer,
  s3Key: string,
  plan: PartPlan,
  numbers: readonly number[],
): Promise<void> {
  const { client, concurrency, puts, retry } = transfer;
  const urls = createPartUrls(
    (partNumbers, signal) => client.createPresignedParts({ s3Key, partNumbers }, callOptions(signal)),
    numbers,
  );
  const left = numbers.values();
  await runWorkers(Math.min(concurrency, numbers.length), transfer.signal, async (signal) => {
    for (const number of left) {
      const part = plan.parts[number - 1];
      if (part === undefined) throw new Error(`the service asks for part ${number} of ${plan.parts.length}`);
      await retry(signal, async () =>
        puts.put(await urls.take(number, signal), sending(transfer, part), signal),
      );
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
 * S3 has lost the upload or a part of it, somebody else wrote one, or another client has completed it meanwhile: what
 * is to be done now, the service says when it is asked for the upload again.
 */
function isMendedByAsking(error: unknown): boolean {
  if (error instanceof PutError) return error.code === 'NoSuchUpload';
  return ['UPLOAD_INCOMPLETE', 'CONTENT_MISMATCH', 'UPLOAD_COMPLETE'].includes(infoOf(error)?.reason ?? '');
}

function infoOf(error: unknown): ErrorInfo | undefined {
  return error instanceof ConnectError ? error.findDetails(ErrorInfoSchema)[0] : undefined;
}
