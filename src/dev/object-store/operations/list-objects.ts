import { S3Error } from '../errors.ts';
import { type Answer, type BucketCall, countOf, xmlAnswer } from '../operation.ts';
import { encodeUri, queryValue, type S3Request } from '../request.ts';
import { aboveEveryKeyWith, fromUtf8Form, utf8Form } from '../storage/key-index.ts';
import { xmlDocument } from '../xml.ts';

/** S3's limit on the keys of one page. */
const PAGE_KEYS_MAX = 1000;

/**
 * ListObjectsV2: keys and common prefixes (up to the delimiter), in one list that is ordered by UTF-8 bytes.
 */
export async function listObjectsV2({ request, objects, bucket }: BucketCall): Promise<Answer> {
  const prefix = queryValue(request, 'prefix') ?? '';
  const delimiter = queryValue(request, 'delimiter') ?? '';
  const startAfter = queryValue(request, 'start-after');
  const token = queryValue(request, 'continuation-token');
  const maxKeys = countOf('max-keys', queryValue(request, 'max-keys'), PAGE_KEYS_MAX);
  const encode = keyEncoding(request);

  const start = token === undefined ? startAt(utf8Form(startAfter ?? '')) : readToken(token);
  const keysFrom = (after: string, inclusive: boolean) => objects.keysFrom(bucket, after, inclusive);
  const page: Entry[] = [];
  let isTruncated = false;
  for (const entry of entries(keysFrom, utf8Form(prefix), utf8Form(delimiter), start)) {
    isTruncated = page.length === maxKeys && maxKeys > 0;
    if (page.length === maxKeys) break;
    page.push(entry);
  }
  const last = page.at(-1);
  const records = page
    .filter((entry) => !entry.isPrefix)
    .flatMap((entry) => objects.find(bucket, fromUtf8Form(entry.form)) ?? []);
  return xmlAnswer(
    xmlDocument('ListBucketResult', {
      Name: bucket,
      Prefix: encode(prefix),
      Delimiter: delimiter === '' ? undefined : encode(delimiter),
      MaxKeys: maxKeys,
      KeyCount: page.length,
      IsTruncated: isTruncated,
      EncodingType: queryValue(request, 'encoding-type'),
      StartAfter: startAfter === undefined ? undefined : encode(startAfter),
      ContinuationToken: token,
      NextContinuationToken: isTruncated && last !== undefined ? writeToken(last) : undefined,
      Contents: records.map(({ key, sizeBytes, etag, lastModified }) => ({
        Key: encode(key),
        LastModified: lastModified,
        ETag: etag,
        Size: sizeBytes,
        StorageClass: 'STANDARD',
      })),
      CommonPrefixes: page
        .filter((entry) => entry.isPrefix)
        .map((entry) => ({ Prefix: encode(fromUtf8Form(entry.form)) })),
    }),
  );
}

/** `encoding-type=url` encodes keys with characters that XML cannot contain. */
export function keyEncoding(request: S3Request): (key: string) => string {
  const type = queryValue(request, 'encoding-type');
  if (type === undefined) return (key) => key;
  if (type !== 'url') throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request');
  return (key) => key.split('/').map(encodeUri).join('/');
}

/** An entry of the list, as UTF-8 form: a key, or a common prefix that represents all keys below it. */
interface Entry {
  readonly form: string;
  readonly isPrefix: boolean;
}

interface Start {
  readonly after: string;
  readonly inclusive: boolean;
}

type KeysFrom = (after: string, inclusive: boolean) => Iterable<string>;

function* entries(keysFrom: KeysFrom, prefix: string, delimiter: string, start: Start): Generator<Entry> {
  let { after, inclusive } = start.after < prefix ? { after: prefix, inclusive: true } : start;
  for (;;) {
    let common: string | undefined;
    for (const form of keysFrom(after, inclusive)) {
      if (!form.startsWith(prefix)) return;
      const at = delimiter === '' ? -1 : form.indexOf(delimiter, prefix.length);
      if (at >= 0) {
        common = form.slice(0, at + delimiter.length);
        break;
      }
      yield { form, isPrefix: false };
    }
    if (common === undefined) return;
    yield { form: common, isPrefix: true };
    // One search skips all keys below the prefix. A walk over a million keys would be slow.
    [after, inclusive] = [aboveEveryKeyWith(common), true];
  }
}

function startAt(after: string): Start {
  return { after, inclusive: false };
}

/** A token that clients do not read: the last entry of the previous page. */
function writeToken({ form, isPrefix }: Entry): string {
  return Buffer.from(`${isPrefix ? 'p' : 'k'}${form}`, 'latin1').toString('base64url');
}

function readToken(token: string): Start {
  const text = Buffer.from(token, 'base64url').toString('latin1');
  const form = text.slice(1);
  if (text.startsWith('p')) return startAt(aboveEveryKeyWith(form));
  if (text.startsWith('k')) return startAt(form);
  throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect');
}
