/** Requests to an object store, as its clients make them: presigned by the SDK's own presigner, sent byte for byte. */
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

/** What a contract is put to: an empty bucket on some server, and a client for it. */
export interface Subject {
  readonly target: ObjectStoreTarget;
  readonly client: S3Client;
}

export interface Presign {
  readonly method: string;
  readonly key: string;
  /** All of them are signed, and none is moved to the query. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly expiresIn?: number;
  readonly signingDate?: Date;
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The `<Code>` of an error document. */
  readonly code: string | undefined;
}

export function s3Client(target: ObjectStoreTarget): S3Client {
  return new S3Client({ ...target, requestChecksumCalculation: 'WHEN_REQUIRED' });
}

export async function presign(target: ObjectStoreTarget, asked: Presign): Promise<string> {
  const client = s3Client(target);
  const endpoint = new URL(target.endpoint);
  const key = asked.key.split('/').map(encode).join('/');
  const headers = Object.fromEntries(
    Object.entries(asked.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const names = new Set(Object.keys(headers));
  const signed = await new S3RequestPresigner(client.config).presign(
    {
      method: asked.method,
      protocol: endpoint.protocol,
      hostname: target.forcePathStyle ? endpoint.hostname : `${target.bucket}.${endpoint.hostname}`,
      port: Number(endpoint.port),
      path: target.forcePathStyle ? `/${target.bucket}/${key}` : `/${key}`,
      headers,
      query: { ...asked.query },
    },
    {
      expiresIn: asked.expiresIn ?? 60,
      ...(asked.signingDate === undefined ? {} : { signingDate: asked.signingDate }),
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

/** By hand, because `fetch` and `new URL` set headers and tidy paths of their own. */
export async function send(
  url: string,
  { method = 'GET', headers = {}, body, onContinue }: Send = {},
): Promise<Answered> {
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
          // A client that was refused before it sent its body never sends it.
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
