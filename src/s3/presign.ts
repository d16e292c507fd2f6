import { setImmediate as nextTurn } from 'node:timers/promises';
import type { S3Client } from '@aws-sdk/client-s3';
import { S3RequestPresigner } from '@aws-sdk/s3-request-presigner';
import { FileError } from '../files/file-error.ts';
import type { Presigner } from '../files/ports.ts';
import { attachment } from './content-disposition.ts';

export interface PresignOptions {
  bucket: string;
  region: string;
  forcePathStyle: boolean;
  /** How clients reach S3, where they know it by another name than this service. */
  publicEndpoint: string | undefined;
  uploadSeconds: number;
  downloadSeconds: number;
}

const RETRY_AFTER_MS = 1_000;

/** Of this many parts the signatures take 6 ms; then other calls have their turn. */
const SIGNED_IN_A_TURN = 100;

/**
 * Signs without the SDK's command stack: the same signature for a quarter of
 * the time (58 µs instead of 263: design, §6), and no header that nobody asked
 * for. The stack would sign the CRC32 of an empty body, and S3 would then
 * refuse every real one; `presign.test.ts` fails if that comes back.
 */
export function createPresigner(client: S3Client, options: PresignOptions): Presigner {
  const { config } = client;
  const signer = new S3RequestPresigner({
    credentials: config.credentials,
    region: options.region,
    sha256: config.sha256,
  });
  const base = bucketUrl(client, options);

  /** The URL and the time when it ends, which may be that of its credentials. */
  const presign = async (
    method: 'PUT' | 'GET',
    s3Key: string,
    lifeSeconds: number,
    headers: Record<string, string>,
    query: Record<string, string>,
  ) => {
    // The signature counts whole seconds.
    const nowSeconds = Math.floor(Date.now() / 1_000);
    const expiresIn = Math.min(lifeSeconds, await credentialSeconds(config.credentials, nowSeconds));
    const signed = await signer.presign(
      {
        method,
        protocol: base.protocol,
        hostname: base.hostname,
        ...(base.port && { port: Number(base.port) }),
        // Keys are made of characters that a path takes as they are.
        path: base.pathname + s3Key,
        headers: { host: base.host, ...headers },
        query,
      },
      {
        expiresIn,
        signingDate: new Date(nowSeconds * 1_000),
        // Without this the presigner leaves Content-Type unsigned.
        signableHeaders: new Set(['host', ...Object.keys(headers).map((name) => name.toLowerCase())]),
      },
    );
    const url = `${base.origin}${signed.path}?${queryString(signed.query ?? {})}`;
    return { url, expireTime: new Date((nowSeconds + expiresIn) * 1_000) };
  };

  return {
    async presignUpload({ s3Key, mimeType, md5, size }) {
      const requiredHeaders: Record<string, string> = {
        'Content-Type': mimeType,
        'Content-MD5': md5,
        ...(size !== undefined && { 'Content-Length': String(size) }),
      };
      const signed = await presign('PUT', s3Key, options.uploadSeconds, requiredHeaders, {});
      return { ...signed, requiredHeaders };
    },

    async presignParts({ s3Key, uploadId, parts }) {
      const urls = [];
      let expireTime = new Date(8.64e15);
      for (const { number, md5, size } of parts) {
        const requiredHeaders = { 'Content-MD5': md5, 'Content-Length': String(size) };
        const query = { partNumber: String(number), uploadId };
        const signed = await presign('PUT', s3Key, options.uploadSeconds, requiredHeaders, query);
        urls.push({ number, url: signed.url, requiredHeaders });
        // Of all of them: the first was signed first, and credentials may have been renewed since.
        if (signed.expireTime < expireTime) expireTime = signed.expireTime;
        if (urls.length % SIGNED_IN_A_TURN === 0) await nextTurn();
      }
      return { urls, expireTime };
    },

    presignDownload: ({ s3Key, filename }) =>
      presign(
        'GET',
        s3Key,
        options.downloadSeconds,
        {},
        {
          'response-content-disposition': attachment(filename),
        },
      ),
  };
}

/** Where the bucket is, by the SDK's own rules for partitions, styles and bucket names; ends in `/`. */
function bucketUrl(client: S3Client, options: PresignOptions): URL {
  const { config } = client;
  const endpoint = options.publicEndpoint;
  const { url } = config.endpointProvider({
    Bucket: options.bucket,
    Region: options.region,
    ForcePathStyle: options.forcePathStyle,
    UseFIPS: false,
    UseDualStack: false,
    UseArnRegion: false,
    Accelerate: false,
    DisableMultiRegionAccessPoints: true,
    ...(endpoint && { Endpoint: endpoint }),
  });
  const bucket = new URL(url.href);
  if (!bucket.pathname.endsWith('/')) bucket.pathname += '/';
  return bucket;
}

/** How long the credentials still live; a URL cannot outlive them. */
async function credentialSeconds(
  provider: S3Client['config']['credentials'],
  nowSeconds: number,
): Promise<number> {
  let cause: unknown;
  try {
    // The SDK's provider renews what is about to expire.
    const { expiration } = await provider();
    const seconds = expiration
      ? Math.floor(expiration.getTime() / 1_000) - nowSeconds
      : Number.POSITIVE_INFINITY;
    if (seconds > 0) return seconds;
  } catch (error) {
    cause = error;
  }
  throw new FileError(
    'STORAGE_UNAVAILABLE',
    'the service has no valid credentials for the object storage; retry',
    {
      retryAfterMs: RETRY_AFTER_MS,
      cause,
    },
  );
}

function queryString(query: Record<string, string | string[] | null>): string {
  return Object.entries(query)
    .map(([name, value]) => `${escapeUri(name)}=${escapeUri(String(value))}`)
    .join('&');
}

/** As the signature counts it (RFC 3986): `encodeURIComponent` leaves five characters more. */
function escapeUri(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
