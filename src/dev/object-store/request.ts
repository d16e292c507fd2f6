/** Parses a request into bucket, key, query and headers. Path and query are decoded once; a wrong escape throws. */
import type { IncomingMessage } from 'node:http';
import { S3Error } from './errors.ts';

export interface S3Request {
  readonly method: string;
  /** Absent when the request addresses the store as a whole. */
  readonly bucket: string | undefined;
  /** Absent when the request addresses a bucket. */
  readonly key: string | undefined;
  /** The path as it was signed: decoded and encoded again by SigV4's own rules. */
  readonly canonicalPath: string;
  readonly query: readonly (readonly [name: string, value: string])[];
  /** Keyed by lower-case name. Repeated headers are joined by a comma, as SigV4 signs them. */
  readonly headers: ReadonlyMap<string, string>;
  /**
   * Every `x-amz-*` header and every `x-amz-*` query parameter, keyed by lower-case name. A presigned URL
   * carries such headers as query parameters, and S3 treats these parameters like headers.
   */
  readonly amz: ReadonlyMap<string, string>;
}

/** S3's limit on a key, in bytes of UTF-8. */
const KEY_MAX_BYTES = 1024;

export function parseRequest(message: Pick<IncomingMessage, 'method' | 'url' | 'rawHeaders'>): S3Request {
  const target = message.url ?? '';
  // A target can also be a full URL (for a proxy) or `*`, but no S3 request has such a target.
  if (!target.startsWith('/')) throw invalidUri();
  const [rawPath = '', ...rawQuery] = target.split('?');
  const path = decode(rawPath);
  const query = parseQuery(rawQuery.join('?'));
  const headers = parseHeaders(message.rawHeaders);
  const amz = new Map<string, string>();
  for (const [name, value] of [...query, ...headers]) {
    if (/^x-amz-/i.test(name)) amz.set(name.toLowerCase(), value);
  }
  return {
    method: message.method ?? '',
    ...address(path, headers.get('host') ?? ''),
    canonicalPath: path.split('/').map(encodeUri).join('/'),
    query,
    headers,
    amz,
  };
}

export function queryValue(request: S3Request, name: string): string | undefined {
  return request.query.find(([each]) => each === name)?.[1];
}

/** Encodes every character except the unreserved characters of RFC 3986, as SigV4 requires. */
export function encodeUri(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/**
 * Returns bucket and key of `http://127.0.0.1:9000/bucket/key` (path style) or
 * `http://bucket.localhost:9000/key` (virtual-host style).
 */
function address(path: string, host: string): Pick<S3Request, 'bucket' | 'key'> {
  const virtual = /^(.+)\.localhost(?::\d+)?$/i.exec(host)?.[1];
  const [bucket = '', ...rest] = virtual === undefined ? path.slice(1).split('/') : [virtual, path.slice(1)];
  const key = rest.join('/');
  if (Buffer.byteLength(key) > KEY_MAX_BYTES) throw new S3Error('KeyTooLongError', 'Your key is too long');
  return { bucket: bucket === '' ? undefined : bucket, key: key === '' ? undefined : key };
}

function parseQuery(raw: string): [string, string][] {
  return raw
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const [name = '', ...value] = pair.replaceAll('+', ' ').split('=');
      return [decode(name), decode(value.join('='))];
    });
}

// Reads the raw headers, because `headers` of Node's message silently drops the second of two Content-Type or
// Host headers.
function parseHeaders(raw: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] ?? '').toLowerCase();
    const value = raw[i + 1] ?? '';
    const earlier = headers.get(name);
    headers.set(name, earlier === undefined ? value : `${earlier},${value}`);
  }
  return headers;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalidUri();
  }
}

function invalidUri(): S3Error {
  return new S3Error('InvalidURI', "Couldn't parse the specified URI");
}
