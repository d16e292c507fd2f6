import { S3Error } from '../errors.ts';
import { type Answer, type BucketCall, countOf, xmlAnswer } from '../operation.ts';
import { encodeUri, queryValue, type S3Request } from '../request.ts';
import { fromUtf8Form, utf8Form } from '../storage/key-order.ts';
import type { Listed } from '../storage/objects.ts';
import { xmlDocument } from '../xml.ts';

/** S3's limit on the keys of one page. */
const PAGE_KEYS_MAX = 1000;

/**
 * Answers ListObjectsV2. A common prefix represents all keys that are equal up to the first delimiter after `prefix`.
 * A page has the next keys and common prefixes in the order of their UTF-8 bytes, and both count for `max-keys`.
 */
export async function listObjectsV2({ request, objects, bucket }: BucketCall): Promise<Answer> {
  const prefix = queryValue(request, 'prefix') ?? '';
  const delimiter = queryValue(request, 'delimiter') ?? '';
  const startAfter = queryValue(request, 'start-after') ?? '';
  const token = queryValue(request, 'continuation-token');
  const maxKeys = countOf('max-keys', queryValue(request, 'max-keys'), PAGE_KEYS_MAX);
  const encode = keyEncoding(request);

  const found = entries(objects.list(bucket), {
    prefix: utf8Form(prefix),
    delimiter: utf8Form(delimiter),
    startAfter: utf8Form(startAfter),
    last: Buffer.from(token ?? '', 'base64url').toString('latin1'),
    limit: maxKeys + 1,
  });
  const page = found.slice(0, maxKeys);
  const isTruncated = maxKeys > 0 && found.length > maxKeys;
  return xmlAnswer(
    xmlDocument('ListBucketResult', {
      Name: bucket,
      Prefix: encode(prefix),
      Delimiter: delimiter === '' ? undefined : encode(delimiter),
      MaxKeys: maxKeys,
      KeyCount: page.length,
      IsTruncated: isTruncated,
      EncodingType: queryValue(request, 'encoding-type'),
      StartAfter: startAfter === '' ? undefined : encode(startAfter),
      ContinuationToken: token,
      // Clients return this token without reading it. The token is the last entry of the page.
      NextContinuationToken: isTruncated
        ? Buffer.from(page.at(-1)?.form ?? '', 'latin1').toString('base64url')
        : undefined,
      Contents: page
        .flatMap(({ record }) => record ?? [])
        .map(({ key, sizeBytes, etag, lastModified }) => ({
          Key: encode(key),
          LastModified: lastModified,
          ETag: etag,
          Size: sizeBytes,
          StorageClass: 'STANDARD',
        })),
      CommonPrefixes: page
        .filter(({ record }) => record === undefined)
        .map(({ form }) => ({ Prefix: encode(fromUtf8Form(form)) })),
    }),
  );
}

/**
 * Returns the function that encodes the keys in an answer. With `encoding-type=url` it URL-encodes them, because XML
 * cannot contain every character of a key. Without that parameter it returns them unchanged.
 */
export function keyEncoding(request: S3Request): (key: string) => string {
  const type = queryValue(request, 'encoding-type');
  if (type === undefined) return (key) => key;
  if (type !== 'url') throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request');
  return (key) => key.split('/').map(encodeUri).join('/');
}

/** A key with its record, or a common prefix, which has no record and represents all keys that begin with it. */
type Entry = Pick<Listed, 'form'> & Partial<Pick<Listed, 'record'>>;

/**
 * Returns the first `limit` entries after `last`, which is the last entry of the previous page. All texts are
 * in UTF-8 form: they have one character for each byte (`../storage/key-order.ts`).
 */
function entries(
  listed: readonly Listed[],
  asked: { prefix: string; delimiter: string; startAfter: string; last: string; limit: number },
): Entry[] {
  const { prefix, delimiter, startAfter, last, limit } = asked;
  const found: Entry[] = [];
  let previous = last;
  for (const { form, record } of listed) {
    if (found.length === limit) break;
    if (form <= startAfter || form <= last || !form.startsWith(prefix)) continue;
    const at = delimiter === '' ? -1 : form.indexOf(delimiter, prefix.length);
    const name = at < 0 ? form : form.slice(0, at + delimiter.length);
    if (name !== previous) found.push(at < 0 ? { form, record } : { form: name });
    previous = name;
  }
  return found;
}
