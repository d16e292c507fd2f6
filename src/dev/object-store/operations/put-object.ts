import { validateHeaderName, validateHeaderValue } from 'node:http';
import { S3Error } from '../errors.ts';
import type { Answer, ObjectCall } from '../operation.ts';
import type { S3Request } from '../request.ts';
import type { ObjectHeaders } from '../storage/objects.ts';

/** Stores the object only if the whole body arrived and matches its headers and its signature. */
export async function putObject({ request, body, objects, bucket, key }: ObjectCall): Promise<Answer> {
  assertNothingUnknownAsked(request);
  objects.assertBucket(bucket);
  const ifNoneMatch = request.headers.get('if-none-match');
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*') {
    throw new S3Error('NotImplemented', 'If-None-Match on a PUT may only be *', { Header: 'If-None-Match' });
  }
  const options = { headers: objectHeaders(request), onlyIfAbsent: ifNoneMatch === '*' };
  const { etag } = await objects.put(bucket, key, body.receive, options);
  return { status: 200, headers: { etag } };
}

/** Idempotent, as in S3: deleting a missing object succeeds. */
export async function deleteObject({ objects, bucket, key }: ObjectCall): Promise<Answer> {
  await objects.remove(bucket, key);
  return { status: 204 };
}

const STORED_HEADERS = ['cache-control', 'content-disposition', 'content-language', 'expires'];

/** Returns the headers that are stored with the object. A later GET or HEAD of the object returns them. */
export function objectHeaders({ headers, amz }: S3Request): ObjectHeaders {
  const stored: Record<string, string> = {
    'content-type': headers.get('content-type') ?? 'binary/octet-stream',
  };
  for (const name of STORED_HEADERS) {
    const value = headers.get(name);
    if (value !== undefined) stored[name] = value;
  }
  // `aws-chunked` describes the transfer of the body, not the object.
  const encodings = (headers.get('content-encoding') ?? '')
    .split(',')
    .map((encoding) => encoding.trim())
    .filter((encoding) => encoding !== '' && encoding !== 'aws-chunked');
  if (encodings.length > 0) stored['content-encoding'] = encodings.join(',');
  for (const [name, value] of amz) {
    if (!name.startsWith('x-amz-meta-')) continue;
    assertCanBeHeader(name, value);
    stored[name] = value;
  }
  return stored;
}

/**
 * Checks metadata, because a later GET returns the metadata in response headers. A program that presigns a URL can
 * move metadata to the query of the URL, where it can contain characters that no header may contain.
 */
function assertCanBeHeader(name: string, value: string): void {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
  } catch {
    throw new S3Error('InvalidArgument', 'Metadata must be representable as HTTP headers', {
      ArgumentName: name,
    });
  }
}

/**
 * Headers of features that this store lacks. The store refuses a request with such a header, because the client
 * would otherwise believe that the feature works.
 */
const UNKNOWN_HEADER =
  /^x-amz-(copy-source|server-side-encryption|tagging|object-lock|website-redirect|grant|write-offset)/;

export function assertNothingUnknownAsked({ amz, headers }: S3Request): void {
  const asked = [...amz.keys()].filter((name) => UNKNOWN_HEADER.test(name));
  if ((amz.get('x-amz-acl') ?? 'private') !== 'private') asked.push('x-amz-acl');
  if ((amz.get('x-amz-storage-class') ?? 'STANDARD') !== 'STANDARD') asked.push('x-amz-storage-class');
  if (headers.has('if-match')) asked.push('if-match');
  if (asked.length > 0) {
    const message = 'A header you provided implies functionality that is not implemented';
    throw new S3Error('NotImplemented', message, { Header: asked.join(', ') });
  }
}
