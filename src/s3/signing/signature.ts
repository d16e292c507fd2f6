/**
 * Signature Version 4 in the query (Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters"),
 * without a signed body. A signature takes 5 µs here, and 27 µs in the SDK's presigner. `sign.ts` compares the first
 * signature of each signing key with the SDK's signature.
 */
import { createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto';
import { escapeUri } from './escape-uri.ts';

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string | undefined;
}

/** The parts of a request that the signature covers, except its time. */
export interface RequestToSign {
  method: string;
  /** The path as the client sends it, because for S3 the signature does not escape the path again. */
  path: string;
  headers: Readonly<Record<string, string>>;
  query: Readonly<Record<string, string>>;
}

/** The values that all signatures of one day and one set of credentials share. */
export interface SigningKey {
  scope: string;
  /** The query parameters that sort before `X-Amz-Date` and `X-Amz-Expires`, in the order of their names. */
  before: readonly Parameter[];
  /** The session token, if there is one. It sorts after `X-Amz-Expires` and before `X-Amz-SignedHeaders`. */
  after: readonly Parameter[];
  /** A `KeyObject` and no Buffer: from a Buffer, `createHmac` makes a `KeyObject` per signature, in 10 µs. */
  hmacKey: KeyObject;
}

/** Name and value are escaped. */
type Parameter = readonly [name: string, value: string];

const ALGORITHM = 'AWS4-HMAC-SHA256';
const BODY = 'UNSIGNED-PAYLOAD';

/** @param day `YYYYMMDD` */
export function signingKey(credentials: Credentials, day: string, region: string): SigningKey {
  const steps = [day, region, 's3', 'aws4_request'];
  const key = steps.reduce<Buffer>(
    (secret, step) => createHmac('sha256', secret).update(step).digest(),
    Buffer.from(`AWS4${credentials.secretAccessKey}`),
  );
  const scope = steps.join('/');
  const { accessKeyId, sessionToken } = credentials;
  return {
    scope,
    before: [
      ['X-Amz-Algorithm', ALGORITHM],
      ['X-Amz-Content-Sha256', BODY],
      ['X-Amz-Credential', escapeUri(`${accessKeyId}/${scope}`)],
    ],
    after: sessionToken === undefined ? [] : [['X-Amz-Security-Token', escapeUri(sessionToken)]],
    hmacKey: createSecretKey(key),
  };
}

/** @param time `YYYYMMDDTHHMMSSZ` @returns the query with the signature */
export function presignedQuery(
  { scope, before, after, hmacKey }: SigningKey,
  { method, path, headers, query }: RequestToSign,
  time: string,
  lifeSeconds: number,
): string {
  const signed = Object.entries(headers)
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .sort(byName);
  const names = signed.map(([name]) => name).join(';');
  // The parameters must be in the order of their names, because S3 sorts the parameters before it checks the signature.
  const own: Parameter[] = [
    ...before,
    ['X-Amz-Date', time],
    ['X-Amz-Expires', String(lifeSeconds)],
    ...after,
    ['X-Amz-SignedHeaders', escapeUri(names)],
  ];
  const others = Object.entries(query).map(([name, value]) => [escapeUri(name), escapeUri(value)] as const);
  const parameters = others.length === 0 ? own : [...own, ...others].sort(byName);
  const canonicalQuery = parameters.map(([name, value]) => `${name}=${value}`).join('&');
  const lines = signed.map(([name, value]) => `${name}:${value.trim().replace(/\s+/g, ' ')}\n`).join('');
  const request = `${method}\n${path}\n${canonicalQuery}\n${lines}\n${names}\n${BODY}`;
  const text = `${ALGORITHM}\n${time}\n${scope}\n${hash('sha256', request)}`;
  const signature = createHmac('sha256', hmacKey).update(text).digest('hex');
  return `${canonicalQuery}&X-Amz-Signature=${signature}`;
}

function byName([one]: Parameter, [other]: Parameter): number {
  return one < other ? -1 : 1;
}
