import type { LocatedBucket } from '../../s3/bucket-location.ts';
import { requestAddress } from '../../s3/request-address.ts';
import { type Credentials, presignedQuery, signingKey } from '../../s3/signing/signature.ts';

/** A request with which a probe examines S3. The request may be wrong on purpose. */
export interface ProbeRequest {
  method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE' | 'OPTIONS';
  /** The key of an object. If it is empty, the request is about the bucket. */
  key: string;
  query?: Record<string, string>;
  /** The headers that the signature covers. They are sent, too. */
  signed?: Record<string, string>;
  /** Headers that are sent in addition to the signed ones, or in place of them. */
  sent?: Record<string, string>;
  body?: Uint8Array;
  /** If it is not set, the signature is correct. */
  signature?: 'wrong' | 'none';
  /** How long ago the request was signed. Default: now. */
  ageSeconds?: number;
}

export interface S3Answer {
  status: number;
  /** The error code of S3; empty if the answer has none. */
  code: string;
  /** The names are in lower case. */
  headers: Record<string, string | undefined>;
  body: string;
}

/** Sends one request. @throws the error of the network */
export type SendProbe = (request: ProbeRequest) => Promise<S3Answer>;

/** The part of the SDK's client that sends requests and knows the credentials. */
export interface Connection {
  config: {
    credentials: () => Promise<Credentials>;
    requestHandler: { handle(request: never, options: object): Promise<{ response: HttpResponse }> };
  };
}

interface HttpResponse {
  statusCode: number;
  headers: Record<string, string | undefined>;
  body: AsyncIterable<Uint8Array>;
}

/** The lifetime of the signed URLs (X-Amz-Expires). */
export const LIFE_SECONDS = 60;

/** The longest time of one request. The largest body is a part of 5 MiB, which needs a line of at least 9 Mbit/s. */
const REQUEST_TIMEOUT_MS = 5_000;

export function createSendProbe({ config }: Connection, bucket: LocatedBucket): SendProbe {
  const { host, pathname } = bucket.url;
  const address = requestAddress(bucket.url);
  return async (request) => {
    const { method, key, signed = {}, sent = {}, body, signature } = request;
    const path = pathname + key;
    const plain = new URLSearchParams(request.query).toString();
    const query =
      signature === 'none'
        ? plain
        : await signedQuery(await config.credentials(), bucket.region, request, path, host);
    const { response } = await config.requestHandler.handle(
      {
        ...address,
        method,
        path: query === '' ? path : `${path}?${query}`,
        headers: {
          host,
          ...(body && { 'content-length': String(body.length) }),
          ...lowerCase(signed),
          ...sent,
        },
        body,
      } as never,
      { abortSignal: AbortSignal.timeout(REQUEST_TIMEOUT_MS), requestTimeout: REQUEST_TIMEOUT_MS },
    );
    const text = Buffer.concat(await chunksOf(response.body)).toString();
    const code = /<Code>([\w.-]+)<\/Code>/.exec(text)?.[1] ?? '';
    return { status: response.statusCode, code, headers: response.headers, body: text };
  };
}

async function signedQuery(
  credentials: Credentials,
  region: string,
  { method, query = {}, signed = {}, signature, ageSeconds = 0 }: ProbeRequest,
  path: string,
  host: string,
): Promise<string> {
  const date = new Date(Date.now() - ageSeconds * 1_000);
  const time = date.toISOString().replace(/[:-]|\.\d{3}/g, '');
  const key = signingKey(credentials, time.slice(0, 8), region);
  const headers = { host, ...signed };
  const right = presignedQuery(key, { method, path, headers, query }, time, LIFE_SECONDS);
  return signature === 'wrong' ? right.replace(/[0-9a-f]{64}$/, '0'.repeat(64)) : right;
}

function lowerCase(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

async function chunksOf(body: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return chunks;
}
