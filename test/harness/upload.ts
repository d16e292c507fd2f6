import type { Client } from '@connectrpc/connect';
import type { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { md5 } from './random.ts';

export type FileClient = Client<typeof FileService>;

/** Creates an upload and sends its bytes, as a client does. Returns the key. */
export async function upload(client: FileClient, filename: string, content: string): Promise<string> {
  const { s3Key, presignedUrl, requiredHeaders } = await client.createPresignedUpload({
    filename,
    mimeType: 'text/plain',
    md5: md5(content),
  });
  const { status } = await fetch(presignedUrl, { method: 'PUT', headers: requiredHeaders, body: content });
  if (status !== 200) throw new Error(`the PUT was answered with ${status}`);
  return s3Key;
}

export async function download(client: FileClient, s3Key: string): Promise<string> {
  const { presignedUrl } = await client.createPresignedDownload({ s3Key });
  const response = await fetch(presignedUrl);
  if (!response.ok) throw new Error(`the GET was answered with ${response.status}`);
  return response.text();
}
