/** Sends requests to an object store as clients do: signed by the SDK's presigner, and sent without changes. */
import { createHash } from 'node:crypto';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { S3Client } from '@aws-sdk/client-s3';
import { S3RequestPresigner } from '@aws-sdk/s3-request-presigner';

export interface ObjectStoreTarget {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  readonly forcePathStyle: boolean;
}

/** An empty bucket on the server under test, and a client for it. */
export interface Subject {
  readonly target: ObjectStoreTarget;
  readonly client: S3Client;
}

export interface Presign {
  readonly method: string;
  readonly key: string;
  /** All headers are signed as headers; none is moved to the query. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly expiresIn?: number;
  readonly signingDate?: Date;
}

export interface Response {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The `<Code>` of an error document. */
  readonly code: string | undefined;
}

export function s3Client(target: ObjectStoreTarget): S3Client {
  return new S3Client({ ...target, requestChecksumCalculation: 'WHEN_REQUIRED' });
}

export async function presign(target: ObjectStoreTarget, request: Presign): Promise<string> {
  const client = s3Client(target);
  const endpoint = new URL(target.endpoint);
  const key = request.key.split('/').map(encode).join('/');
  const headers = Object.fromEntries(
    Object.entries(request.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const names = new Set(Object.keys(headers));
  const signed = await new S3RequestPresigner(client.config).presign(
    {
      method: request.method,
      protocol: endpoint.protocol,
      hostname: target.forcePathStyle ? endpoint.hostname : `${target.bucket}.${endpoint.hostname}`,
      port: Number(endpoint.port),
      path: target.forcePathStyle ? `/${target.bucket}/${key}` : `/${key}`,
      headers,
      query: { ...request.query },
    },
    {
      expiresIn: request.expiresIn ?? 60,
      ...(request.signingDate === undefined ? {} : { signingDate: request.signingDate }),
      signableHeaders: new Set(['host', ...names]),
      unhoistableHeaders: names,
    },
  );
  client.destroy();
  const query = Object.entries(signed.query ?? {})
    .map(([name, value]) => `${encode(name)}=${encode(String(value))}`)
    .join('&');
  return `${signed.protocol}//${signed.hostname}:${signed.port}${signed.path}?${query}`;
}

export interface Send {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  readonly onContinue?: () => void;
}

/** Uses node:http, because `fetch` adds headers and `new URL` normalises paths. */
export async function send(
  url: string,
  { method = 'GET', headers = {}, body, onContinue }: Send = {},
): Promise<Response> {
  const [, hostname, port, path] = /^http:\/\/(.+?):(\d+)(\/.*)$/.exec(url) ?? [];
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'Content-Length': `${body.length}` };
    const expectsContinue = 'Expect' in headers;
    const request = httpRequest(
      { host: hostname, port, path, method, headers: { ...length, ...headers }, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const bytes = Buffer.concat(chunks);
          const code = /<Code>(.*?)<\/Code>/.exec(bytes.toString('utf8'))?.[1];
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes, code });
          // Ends a request that was refused before its body was sent.
          request.destroy();
        });
      },
    );
    request.on('error', reject);
    request.on('continue', () => {
      onContinue?.();
      request.end(body);
    });
    if (expectsContinue) request.flushHeaders();
    else request.end(body);
  });
}

export function md5Base64(bytes: Buffer): string {
  return createHash('md5').update(bytes).digest('base64');
}

export function md5Hex(bytes: Buffer): string {
  return createHash('md5').update(bytes).digest('hex');
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
