import type { Call } from '../call.ts';
import type { ReadyFile } from '../file.ts';
import { uploadIncomplete } from '../file-error.ts';
import type { PresignedDownload, Presigner } from '../ports/presigner.ts';
import { type GetFilePorts, getFile } from './get-file.ts';

interface Ports extends GetFilePorts {
  presigner: Pick<Presigner, 'presignDownload'>;
}

/**
 * Returns a URL that reads a READY file. If the last verification of the file is older than the setting
 * VERIFICATION_TTL_SECONDS, the call first asks S3 whether it still holds the bytes. If another program removes
 * an object from S3, calls return URLs that answer 404 for at most this time.
 *
 * @throws FileError like `getFile`, and UPLOAD_INCOMPLETE
 */
export function createPresignedDownload(ports: Ports) {
  const get = getFile(ports);
  return async (call: Call, key: string): Promise<{ file: ReadyFile; download: PresignedDownload }> => {
    const file = await get(call, key);
    if (file.state === 'pending') throw uploadIncomplete(file.s3Key);
    return { file, download: await ports.presigner.presignDownload(file) };
  };
}
