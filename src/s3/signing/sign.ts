import type { S3Client } from '@aws-sdk/client-s3';
import { S3RequestPresigner } from '@aws-sdk/s3-request-presigner';
import { FileError } from '../../files/file-error.ts';
import { type BucketLocation, bucketUrl } from '../bucket-location.ts';
import { escapeUri } from './escape-uri.ts';
import {
  type Credentials,
  presignedQuery,
  type RequestToSign,
  type SigningKey,
  signingKey,
} from './signature.ts';

export interface SignedUrl {
  url: string;
  /** When it ends, which may be when its credentials do. */
  expireTime: Date;
}

/** Signs one request about one object. @throws FileError STORAGE_UNAVAILABLE, where there are no valid credentials */
export type Sign = (
  method: 'GET' | 'PUT' | 'HEAD' | 'DELETE',
  s3Key: string,
  lifeSeconds: number,
  headers?: Record<string, string>,
  query?: Record<string, string>,
) => Promise<SignedUrl>;

const RETRY_AFTER_MS = 1_000;

/**
 * Signs as the SDK does, and no header that nobody asked for: its command stack
 * would sign the CRC32 of an empty body, and S3 would then refuse every real one.
 *
 * The SDK's presigner takes four times as long as `signature.ts`. So it signs the
 * first request with every key (of a day and of credentials), and where our own
 * signature is the very same, ours it is from there on; else it goes on signing.
 */
export function createSign(client: S3Client, location: BucketLocation): Sign {
  const { credentials: provider, sha256 } = client.config;
  const { region } = location;
  const sdk = new S3RequestPresigner({ credentials: provider, region, sha256 });
  const base = bucketUrl(client, location);
  // A URL makes these anew each time it is asked.
  const { origin, pathname, host } = base;
  let key: KeyOfDay | undefined;
  let now = momentOf(0);

  return async (method, s3Key, lifeSeconds, headers = {}, query = {}) => {
    const nowSeconds = Math.floor(Date.now() / 1_000);
    if (now.seconds !== nowSeconds) now = momentOf(nowSeconds);
    const { date, time, day } = now;
    const credentials = await credentialsOf(provider);
    const expiresIn = Math.min(lifeSeconds, secondsLeft(credentials, nowSeconds));
    const request = {
      method,
      // Keys are made of characters that a path takes as they are.
      path: pathname + s3Key,
      headers: { host, ...headers },
      query,
    };
    if (key?.day !== day || !isSame(key.credentials, credentials)) {
      key = { ...signingKey(credentials, day, region), day, credentials, isTheSdks: undefined };
    }
    const current = key;
    let signed = presignedQuery(current, request, time, expiresIn);
    if (current.isTheSdks !== true) {
      const theirs = await presignedBySdk(sdk, base, request, date, expiresIn);
      current.isTheSdks ??= signed.endsWith(`=${theirs['X-Amz-Signature']}`);
      if (!current.isTheSdks) signed = queryString(theirs);
    }
    const url = `${origin}${request.path}?${signed}`;
    return { url, expireTime: new Date((nowSeconds + expiresIn) * 1_000) };
  };
}

/** A signature counts whole seconds, and in one of them are many. */
function momentOf(seconds: number) {
  const date = new Date(seconds * 1_000);
  const time = date.toISOString().replace(/[:-]|\.\d{3}/g, '');
  return { seconds, date, time, day: time.slice(0, 8) };
}

interface KeyOfDay extends SigningKey {
  day: string;
  credentials: Credentials;
  /** Whether the signature that was compared is; undefined before one was. */
  isTheSdks: boolean | undefined;
}

function isSame(one: Credentials, other: Credentials): boolean {
  return (
    one.accessKeyId === other.accessKeyId &&
    one.secretAccessKey === other.secretAccessKey &&
    one.sessionToken === other.sessionToken
  );
}

async function presignedBySdk(
  sdk: S3RequestPresigner,
  { protocol, hostname, port }: URL,
  { headers, ...request }: RequestToSign,
  signingDate: Date,
  expiresIn: number,
): Promise<Record<string, string>> {
  const { query } = await sdk.presign(
    { ...request, protocol, hostname, ...(port && { port: Number(port) }), headers: { ...headers } },
    {
      expiresIn,
      signingDate,
      // Without this the presigner leaves Content-Type unsigned.
      signableHeaders: new Set(Object.keys(headers).map((name) => name.toLowerCase())),
    },
  );
  return query as Record<string, string>;
}

/** The SDK's provider renews what is about to expire. */
async function credentialsOf(provider: S3Client['config']['credentials']) {
  try {
    return await provider();
  } catch (cause) {
    throw noCredentials(cause);
  }
}

/** How long the credentials still live; a URL cannot outlive them. */
function secondsLeft({ expiration }: { expiration?: Date }, nowSeconds: number): number {
  if (expiration === undefined) return Number.POSITIVE_INFINITY;
  const seconds = Math.floor(expiration.getTime() / 1_000) - nowSeconds;
  if (seconds > 0) return seconds;
  throw noCredentials();
}

function noCredentials(cause?: unknown): FileError {
  return new FileError(
    'STORAGE_UNAVAILABLE',
    'the service has no valid credentials for the object storage; retry',
    { retryAfterMs: RETRY_AFTER_MS, cause },
  );
}

function queryString(query: Record<string, string>): string {
  return Object.entries(query)
    .map(([name, value]) => `${escapeUri(name)}=${escapeUri(value)}`)
    .join('&');
}
