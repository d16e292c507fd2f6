import { createHash } from 'node:crypto';
import { FileError } from '../file-error.ts';
import { parseOwnedKey, S3_KEY_MAX_BYTES, type S3Key, userPart, userPartOf } from './s3-key.ts';

/** The last file of a page. The next page starts with the file after this one. */
export interface PagePosition {
  lastModified: Date;
  s3Key: S3Key;
}

/** The list that a token belongs to. A token of any other list is refused. */
export interface PageScope {
  userId: string;
  filenamePrefix: string;
}

// A token is eight bytes of time, eight bytes of checksum, and the key.
const TIME_BYTES = 8;
const CHECK_BYTES = 8;
const HEADER_BYTES = TIME_BYTES + CHECK_BYTES;

/** The length of the longest token, in characters of base64url. Four of these characters encode three bytes. */
const TOKEN_MAX_CHARACTERS = Math.ceil(((HEADER_BYTES + S3_KEY_MAX_BYTES) * 4) / 3);

/**
 * The latest time that a token may have, in milliseconds since 1970. The times of S3 have years of four digits, so no
 * object is newer. JavaScript's Date and Postgres's timestamptz can hold all times up to this one.
 */
const TIME_MAX_MS = BigInt(Date.parse('9999-12-31T23:59:59.999Z'));

/**
 * Encodes a position as an opaque token. The checksum is not a signature: a token authorises nothing, because
 * every query is scoped by the caller's own user id. The checksum detects a damaged token and a token of
 * another list.
 */
export function pageToken(position: PagePosition, scope: PageScope): string {
  const time = Buffer.alloc(TIME_BYTES);
  time.writeBigInt64BE(BigInt(position.lastModified.getTime()));
  const key = Buffer.from(position.s3Key);
  return Buffer.concat([time, check(time, key, scope), key]).toString('base64url');
}

/** @throws FileError INVALID_PAGE_TOKEN */
export function parsePageToken(token: string, scope: PageScope): PagePosition {
  const position = token.length <= TOKEN_MAX_CHARACTERS ? decode(token, scope) : undefined;
  if (position !== undefined) return position;
  throw new FileError(
    'INVALID_PAGE_TOKEN',
    'page_token must be a next_page_token of this user, with the same filename_prefix; start again without one',
    { field: 'page_token' },
  );
}

function decode(token: string, scope: PageScope): PagePosition | undefined {
  const bytes = Buffer.from(token, 'base64url');
  // Node's decoder skips unknown characters and ignores unused bits. Only the spelling that Node's encoder
  // produces is accepted.
  if (bytes.length <= HEADER_BYTES || bytes.toString('base64url') !== token) return undefined;
  const time = bytes.subarray(0, TIME_BYTES);
  const key = bytes.subarray(HEADER_BYTES);
  if (!check(time, key, scope).equals(bytes.subarray(TIME_BYTES, HEADER_BYTES))) return undefined;

  // Any client can compute the checksum, so time and key may be values on which Date or Postgres would fail. Postgres
  // accepts every key of this user, because such a key is ASCII without NUL, and short enough.
  const milliseconds = time.readBigInt64BE();
  if (milliseconds < 0n || milliseconds > TIME_MAX_MS) return undefined;
  const owned = parseOwnedKey(key.toString());
  if (owned === undefined || userPartOf(owned.s3Key) !== userPart(scope.userId)) return undefined;
  return { lastModified: new Date(Number(milliseconds)), s3Key: owned.s3Key };
}

function check(time: Buffer, key: Buffer, scope: PageScope): Buffer {
  // The JSON shows where the first value ends, so ("a", "bc") and ("ab", "c") give different checksums.
  return createHash('sha256')
    .update(JSON.stringify([scope.userId, scope.filenamePrefix]))
    .update(time)
    .update(key)
    .digest()
    .subarray(0, CHECK_BYTES);
}
