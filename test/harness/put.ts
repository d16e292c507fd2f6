import { request } from 'node:http';
import type { CreatePresignedUploadResponse } from '../../gen/files/v1/file_service_pb.ts';

export interface PutAnswer {
  status: number;
  body: string;
}

/**
 * Sends a real PUT with only these headers, Host and Content-Length. `fetch` would add headers, and would not
 * let a test send a wrong Content-Length.
 */
export function putTo(
  url: string,
  headers: Record<string, string>,
  bytes: string | Uint8Array,
): Promise<PutAnswer> {
  return new Promise((resolve, reject) => {
    const put = request(url, {
      method: 'PUT',
      headers: { 'content-length': Buffer.byteLength(bytes), ...headers },
    });
    put.on('error', reject);
    put.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    put.end(bytes);
  });
}

/** Sends the bytes to the URL of the answer with its required headers, as every client does. */
export function put(answer: CreatePresignedUploadResponse, bytes: string | Uint8Array): Promise<PutAnswer> {
  return putTo(answer.presignedUrl, answer.requiredHeaders, bytes);
}
