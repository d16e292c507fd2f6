/** Uploads a file with a single PUT, not in parts. */
import { base64Encode } from '@bufbuild/protobuf/wire';
import { UploadType } from '../../../gen/files/v1/file_service_pb.ts';
import type { CreateRequest } from './file-calls.ts';
import { readyFile, type Transfer, type Transferred } from './transfer.ts';

export async function uploadWhole(transfer: Transfer): Promise<Transferred> {
  const { source, filename, mimeType, progress, signal } = transfer;
  const range = { start: 0, end: source.sizeBytes };
  const [bytes = new Uint8Array()] = await source.md5s([range], { signal, onHashed: progress.hashed });
  await source.assertUnchanged();
  const md5 = base64Encode(bytes);
  const request = { filename, mimeType, md5, size: BigInt(source.sizeBytes) };
  return transfer.inTurn(md5, () => createAndSend(transfer, request));
}

async function createAndSend(transfer: Transfer, request: CreateRequest): Promise<Transferred> {
  const { calls, source, progress, put, retry, signal } = transfer;
  const whole = { start: 0, end: source.sizeBytes };
  const ask = async () => {
    const answer = await calls.create(request, signal);
    if (answer.md5 === request.md5) return answer;
    throw new Error('the service answered for another content than that of the file');
  };
  const first = await retry(signal, ask);
  if (first.type === UploadType.EXISTING) {
    return { file: await readyFile(transfer, first.s3Key), existing: true };
  }
  progress.enter('sending');
  let unused: typeof first | undefined = first;
  const s3Key = await retry(signal, async () => {
    // The first try uses the URL of the first CreatePresignedUpload. A retry calls CreatePresignedUpload again,
    // and gets a fresh URL. If an earlier PUT succeeded but its answer was lost, the service answers EXISTING.
    const { type, s3Key, presignedUrl, requiredHeaders } = unused ?? (await ask());
    unused = undefined;
    if (type === UploadType.NEW) {
      await put({ url: presignedUrl, headers: requiredHeaders }, whole, signal);
    }
    return s3Key;
  });
  return { file: await readyFile(transfer, s3Key), existing: false };
}
