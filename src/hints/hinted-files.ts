import { type OwnedKey, parseOwnedKey, S3_KEY_MAX_BYTES } from '../files/rules/s3-key.ts';

/** Each byte of a key takes at most three characters when it is escaped. */
const ESCAPED_KEY_MAX_CHARACTERS = 3 * S3_KEY_MAX_BYTES;

/** More records than any S3 server puts into one message. Ceph RGW and MinIO-compatible servers send one. */
export const RECORDS_MAX = 1_000;

/** An object of a bucket, as a message of S3 names it. */
interface NamedObject {
  bucket: unknown;
  key: string | undefined;
}

/**
 * Returns the files of this service that a message of S3 is about, each file once. Everything else is left out: other
 * buckets, keys that this service has not made, messages of other kinds such as the test message of a new
 * configuration. A key with the hash of a user id has no user, because only the row tells the user id.
 *
 * There are two forms of messages: the notification records of S3, which Ceph RGW, MinIO-compatible servers and others
 * also send, and the events of Amazon EventBridge.
 *
 * @returns `undefined` if the message has more than RECORDS_MAX records
 */
export function hintedFiles(message: unknown, bucket: string): OwnedKey[] | undefined {
  const records = property(message, 'Records');
  const isList = Array.isArray(records);
  if (isList && records.length > RECORDS_MAX) return undefined;
  const objects = isList ? records.map(ofRecord) : [ofEventBridge(message)];
  const files = new Map<string, OwnedKey>();
  for (const object of objects) {
    if (object.bucket !== bucket || object.key === undefined) continue;
    const owned = parseOwnedKey(object.key);
    if (owned !== undefined) files.set(owned.s3Key, owned);
  }
  return [...files.values()];
}

function ofRecord(record: unknown): NamedObject {
  const s3 = property(record, 's3');
  return {
    bucket: property(property(s3, 'bucket'), 'name'),
    key: unescaped(property(property(s3, 'object'), 'key')),
  };
}

/** EventBridge does not escape keys. */
function ofEventBridge(message: unknown): NamedObject {
  const detail = property(message, 'detail');
  const key = property(property(detail, 'object'), 'key');
  return {
    bucket: property(property(detail, 'bucket'), 'name'),
    key: typeof key === 'string' ? key : undefined,
  };
}

/**
 * Records have keys as in the query of a URL: `%5F` is `_`, and a plus is a space. Ceph RGW does not escape keys. No key
 * of this service has a plus, a space or a percent sign, so pluses may stay, and unescaped keys are unescaped, too.
 */
function unescaped(key: unknown): string | undefined {
  if (typeof key !== 'string' || key.length > ESCAPED_KEY_MAX_CHARACTERS) return undefined;
  try {
    return decodeURIComponent(key);
  } catch {
    return undefined;
  }
}

/** A property of a value that can be anything. */
function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
