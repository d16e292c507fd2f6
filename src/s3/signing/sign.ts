/**
 * `src/s3/signing` signs URLs for S3. `sign.ts` chooses the credentials and compares our signatures with the SDK's.
 * `signature.ts` computes Signature Version 4 with pure functions. `signature-check.ts` finds out whether S3 refuses a
 * wrong signature.
 *
 * Deciding what a URL may do (method, headers, lifetime) does not belong here: see `../urls`.
 */
import type { S3Client } from '@aws-sdk/client-s3';
import { S3RequestPresigner } from '@aws-sdk/s3-request-presigner';
import { storageUnavailable } from '../../files/file-error.ts';
import type { S3Key } from '../../files/rules/s3-key.ts';
import type { LocatedBucket } from '../bucket-location.ts';
import { escapeUri } from './escape-uri.ts';
import {
  type Credentials,
  presignedQuery,
  type RequestToSign,
  type SigningKey,
  signingKey,
} from './signature.ts';

interface SignedUrl {
  url: string;
  /** The end of the requested lifetime, or the expiry of the credentials if that is earlier. */
  expireTime: Date;
}

/**
 * Signs one request about one object.
 *
 * @throws FileError STORAGE_UNAVAILABLE when there are no valid credentials
 */
export type Sign = (
  method: 'GET' | 'PUT' | 'HEAD' | 'DELETE',
  s3Key: S3Key,
  lifeSeconds: number,
  headers?: Record<string, string>,
  query?: Record<string, string>,
) => Promise<SignedUrl>;

/**
 * Signs only the headers that the caller passes. `getSignedUrl` of the SDK would run the whole command stack,
 * which also signs the CRC32 of an empty body, and S3 would then refuse every body that is not empty.
 *
 * The SDK's presigner takes five times as long as `signature.ts`. A signing key is valid for one day and one
 * set of credentials. For each key, the SDK signs the first request as well. If both signatures are equal,
 * `signature.ts` signs all further requests with that key. Otherwise the SDK signs all of them.
 */
export function createSign(client: S3Client, { url: base, region }: LocatedBucket): Sign {
  const { credentials: provider, sha256 } = client.config;
  const sdk = new S3RequestPresigner({ credentials: provider, region, sha256 });
  // These strings are read once, because a URL object computes them at each access.
  const { origin, pathname, host } = base;
  let key: DayKey | undefined;
  let now = formatTime(0);

  return async (method, s3Key, lifeSeconds, headers = {}, query = {}) => {
    const nowSeconds = Math.floor(Date.now() / 1_000);
    if (now.seconds !== nowSeconds) now = formatTime(nowSeconds);
    const { date, time, day } = now;
    const credentials = await credentialsOf(provider);
    const expiresIn = Math.min(lifeSeconds, secondsLeft(credentials, nowSeconds));
    const request = {
      method,
      // An S3 key of the service has only characters that need no escaping in a path.
      path: pathname + s3Key,
      headers: { host, ...headers },
      query,
    };
    if (key?.day !== day || !isSame(key.credentials, credentials)) {
      key = { ...signingKey(credentials, day, region), day, credentials, matchesSdk: undefined };
    }
    const current = key;
    let signed = presignedQuery(current, request, time, expiresIn);
    if (current.matchesSdk !== true) {
      const sdkQuery = await presignedBySdk(sdk, base, request, date, expiresIn);
      current.matchesSdk ??= signed.endsWith(`=${sdkQuery['X-Amz-Signature']}`);
      if (!current.matchesSdk) signed = queryString(sdkQuery);
    }
    const url = `${origin}${request.path}?${signed}`;
    return { url, expireTime: new Date((nowSeconds + expiresIn) * 1_000) };
  };
}

/**
 * Returns the texts of a time that a signature contains. A signature has whole seconds, so the texts are computed once
 * per second.
 */
function formatTime(seconds: number) {
  const date = new Date(seconds * 1_000);
  const time = date.toISOString().replace(/[:-]|\.\d{3}/g, '');
  return { seconds, date, time, day: time.slice(0, 8) };
}

interface DayKey extends SigningKey {
  day: string;
  credentials: Credentials;
  /** Whether our signature was equal to the SDK's. Undefined until they have been compared. */
  matchesSdk: boolean | undefined;
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
  const names = () => new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  const { query } = await sdk.presign(
    { ...request, protocol, hostname, ...(port && { port: Number(port) }), headers: { ...headers } },
    {
      expiresIn,
      signingDate,
      // Without this option, the presigner does not sign Content-Type.
      signableHeaders: names(),
      // Without this option, the presigner moves some `x-amz-*` headers into the query.
      unhoistableHeaders: names(),
    },
  );
  return query as Record<string, string>;
}

/** The SDK's provider caches credentials and renews them before they expire. */
async function credentialsOf(provider: S3Client['config']['credentials']) {
  try {
    return await provider();
  } catch (cause) {
    throw storageUnavailable('no credentials', cause);
  }
}

/** The remaining lifetime of the credentials. S3 refuses a URL after its credentials have expired. */
function secondsLeft({ expiration }: { expiration?: Date }, nowSeconds: number): number {
  if (expiration === undefined) return Number.POSITIVE_INFINITY;
  const seconds = Math.floor(expiration.getTime() / 1_000) - nowSeconds;
  if (seconds > 0) return seconds;
  throw storageUnavailable('no credentials');
}

function queryString(query: Record<string, string>): string {
  return Object.entries(query)
    .map(([name, value]) => `${escapeUri(name)}=${escapeUri(value)}`)
    .join('&');
}
