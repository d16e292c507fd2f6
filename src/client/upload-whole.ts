/** Uploads a file with a single PUT, not in parts. */
import { UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { md5OfRange } from './md5.ts';
import { callOptions, readyFile, sending, type Transfer, type Transferred } from './transfer.ts';

export async function uploadWhole(transfer: Transfer): Promise<Transferred> {
  const { client, source, filename, mimeType, progress, puts, retry, signal } = transfer;
  const whole = { start: 0, end: source.sizeBytes };
  const md5 = Buffer.from(await md5OfRange(source, whole, { signal, onHashed: progress.hashed }));
  await source.assertUnchanged();

  const request = { filename, mimeType, md5: md5.toString('base64'), size: BigInt(source.sizeBytes) };
  const ask = () => client.createPresignedUpload(request, callOptions(signal));
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
      await puts.put({ url: presignedUrl, headers: requiredHeaders }, sending(transfer, whole), signal);
    }
    return s3Key;
  });
  return { file: await readyFile(transfer, s3Key), existing: false };
}
