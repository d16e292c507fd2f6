import AwsS3 from '@uppy/aws-s3';
import type { Uppy } from '@uppy/core';
import { md5Of, UploadType } from 'file-service-client';
import { files } from './upload.ts';

/** Sends each file with one PUT. */
export function useFileService(uppy: Uppy): void {
  const signed = new Map<string, { url: string; key: string; headers: Record<string, string> }>();
  const create = async (file: ReturnType<typeof uppy.getFile>) => {
    const { name: filename, type: mimeType } = file;
    const data = file.data as Blob;
    const request = { filename, mimeType, size: BigInt(data.size), md5: await md5Of(data) };
    const { type, presignedUrl, s3Key, requiredHeaders } = await files.createPresignedUpload(request);
    if (type === UploadType.EXISTING) return uppy.emit('upload-success', file, { status: 200 });
    const { 'Content-Length': _setByTheBrowser, ...headers } = requiredHeaders;
    signed.set(file.id, { url: presignedUrl, key: s3Key, headers });
  };
  uppy.addPreProcessor(async (ids) => {
    for (const file of uppy.getFilesByIds(ids))
      await create(file).catch((error) => uppy.emit('upload-error', file, error));
  });
  const generateObjectKey = ({ id }: { id: string }) => id;
  const signRequest = ({ key: id }: { key: string }) => signed.get(id) ?? { url: '' };
  uppy.use(AwsS3, { shouldUseMultipart: false, generateObjectKey, signRequest });
}
