import { S3Error } from '../errors.ts';
import { type Answer, noSuchKey, type ObjectCall } from '../operation.ts';
import { queryValue, type S3Request } from '../request.ts';
import type { ObjectRecord } from '../storage/objects.ts';

/** Answers GET and HEAD. The answer to a HEAD has no body. */
export async function getObject({ request, objects, bucket, key }: ObjectCall): Promise<Answer> {
  const record = objects.find(bucket, key);
  if (record === undefined) throw noSuchKey(key);
  const notModified = conditions(request, record);
  if (notModified) return { status: 304, headers: identity(record) };

  const { sizeBytes } = record;
  const range = readRange(request, record);
  const [first, last] = range ?? [0, sizeBytes - 1];
  const headers = {
    ...record.headers,
    ...overrides(request),
    ...identity(record),
    'accept-ranges': 'bytes',
    'content-length': `${last - first + 1}`,
    ...(range === undefined ? {} : { 'content-range': `bytes ${first}-${last}/${sizeBytes}` }),
  };
  const status = range === undefined ? 200 : 206;
  if (request.method === 'HEAD' || sizeBytes === 0) return { status, headers };
  return { status, headers, body: objects.read(bucket, key, first, last) };
}

function identity({ etag, lastModified }: ObjectRecord): Record<string, string> {
  return { etag, 'last-modified': new Date(lastModified).toUTCString() };
}

/**
 * Returns true if the answer must be 304 (not modified), and throws if it must be 412 (precondition failed).
 * The conditions are checked in the order of RFC 9110, section 13.2.2.
 */
function conditions({ headers }: S3Request, { etag, lastModified }: ObjectRecord): boolean {
  const modifiedMs = Date.parse(lastModified);
  const ifMatch = headers.get('if-match');
  const ifUnmodifiedSince = Date.parse(headers.get('if-unmodified-since') ?? '');
  if (ifMatch === undefined ? modifiedMs > ifUnmodifiedSince : !matches(ifMatch, etag)) {
    throw new S3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
  }
  const ifNoneMatch = headers.get('if-none-match');
  if (ifNoneMatch !== undefined) return matches(ifNoneMatch, etag);
  return modifiedMs <= Date.parse(headers.get('if-modified-since') ?? '');
}

function matches(list: string, etag: string): boolean {
  return list
    .split(',')
    .map((each) => each.trim().replace(/^W\//, ''))
    .some((each) => each === '*' || each === etag || `"${each}"` === etag);
}

/**
 * Returns the range of a request. Returns `undefined` if the response must be the whole object: the Range
 * header is missing, or it is not exactly one valid range of bytes, or `If-Range` names another version of
 * the object. S3 ignores such a Range header, and HTTP allows that (RFC 9110, section 14.2).
 *
 * @throws S3Error InvalidRange if the object has no bytes in the range
 */
function readRange({ headers }: S3Request, record: ObjectRecord): [first: number, last: number] | undefined {
  const match = /^bytes=([0-9]{0,15})-([0-9]{0,15})$/.exec(headers.get('range') ?? '');
  if (match === null) return undefined;
  const ifRange = headers.get('if-range');
  if (
    ifRange !== undefined &&
    ifRange !== record.etag &&
    Date.parse(ifRange) !== Date.parse(record.lastModified)
  ) {
    return undefined;
  }
  const [, from = '', to = ''] = match;
  const { sizeBytes } = record;
  const isSuffix = from === '';
  if (isSuffix ? to === '' : to !== '' && Number(to) < Number(from)) return undefined;
  const first = isSuffix ? Math.max(sizeBytes - Number(to), 0) : Number(from);
  const last = isSuffix || to === '' ? sizeBytes - 1 : Math.min(Number(to), sizeBytes - 1);
  if (first > last) {
    throw new S3Error('InvalidRange', 'The requested range is not satisfiable', {
      ActualObjectSize: `${sizeBytes}`,
    });
  }
  return [first, last];
}

const OVERRIDABLE = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
];

/**
 * The response headers that query parameters such as `response-content-disposition=…` set. The signature of
 * a URL covers its query, so the signer of the URL chose these headers.
 */
function overrides(request: S3Request): Record<string, string> {
  const chosen: Record<string, string> = {};
  for (const name of OVERRIDABLE) {
    const value = queryValue(request, `response-${name}`);
    if (value === undefined) continue;
    if (!/^[\t\x20-\x7e\xa0-\xff]*$/.test(value)) {
      const message = `Header value cannot be represented using ISO-8859-1.: response-${name}`;
      throw new S3Error('InvalidArgument', message);
    }
    chosen[name] = value;
  }
  return chosen;
}
