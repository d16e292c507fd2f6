import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import type { TestService } from '../harness/service.ts';

export const TOKEN = 'hints+of/the~bucket=';
export const PATH = '/storage-events';

export interface Sent {
  status: number | undefined;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

/** Sends a message to the service over HTTP/1.1, as an S3 server does. */
export function send(
  { httpUrl }: Pick<TestService, 'httpUrl'>,
  body: unknown,
  {
    method = 'POST',
    path = PATH,
    headers = { authorization: `Bearer ${TOKEN}` } as Record<string, string>,
  } = {},
): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const bytes = Buffer.isBuffer(body) || typeof body === 'string' ? body : JSON.stringify(body);
    request(new URL(httpUrl), {
      method,
      path,
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(bytes), ...headers },
    })
      .on('response', async (response) => {
        const { statusCode: status, headers } = response;
        resolve({ status, headers, text: await text(response).catch(() => '') });
      })
      .on('error', reject)
      .end(bytes);
  });
}
