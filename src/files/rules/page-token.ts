import { createHash } from 'node:crypto';
import { FileError } from '../file-error.ts';
import { ownerOfKey, S3_KEY_MAX_BYTES } from './s3-key.ts';

/** The last file of a page: where the next one goes on. */
export interface PagePosition {
  lastModified: Date;
  s3Key: string;
}

/** What a token goes with. A token made for anything else is refused. */
export interface PageScope {
  userId: string;
  filenamePrefix: string;
}

// Eight bytes of time, eight of check, then the key.
const TIME_BYTES = 8;
const CHECK_BYTES = 8;
const HEADER_BYTES = TIME_BYTES + CHECK_BYTES;

/** In characters of base64url: four for three bytes. */
const TOKEN_MAX_CHARACTERS = Math.ceil(((HEADER_BYTES + S3_KEY_MAX_BYTES) * 4) / 3);

/** The times of real objects, in milliseconds since 1970. Both Date and Postgres's timestamptz hold all of them. */
const TIME_MAX_MS = BigInt(Date.parse('9999-12-31T23:59:59.999Z'));

/**
 * An opaque position. The check is no signature: a token authorises nothing,
 * since every query is scoped by the caller's own user id. It tells a damaged
 * token, or one of another list, from a good one.
 */
export function pageToken(position: PagePosition, scope: PageScope): string {
  const time = Buffer.alloc(TIME_BYTES);
  time.writeBigInt64BE(BigInt(position.lastModified.getTime()));
  const key = Buffer.from(position.s3Key);
  return Buffer.concat([time, check(time, key, scope), key]).toString('base64url');
}

/**
 * @throws FileError INVALID_PAGE_TOKEN
 */
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
  // Node's decoder skips what it does not know and ignores unused bits: only
  // the spelling that encoding gives is taken.
  if (bytes.length <= HEADER_BYTES || bytes.toString('base64url') !== token) return undefined;
  const time = bytes.subarray(0, TIME_BYTES);
  const key = bytes.subarray(HEADER_BYTES);
  if (!check(time, key, scope).equals(bytes.subarray(TIME_BYTES, HEADER_BYTES))) return undefined;

  // Anybody can compute the check, so the rest may be anything that Date or Postgres would fail on. A key of this user
  // is ASCII without NUL, and short enough.
  const milliseconds = time.readBigInt64BE();
  const s3Key = key.toString();
  if (milliseconds < 0n || milliseconds > TIME_MAX_MS || ownerOfKey(s3Key) !== scope.userId) return undefined;
  return { lastModified: new Date(Number(milliseconds)), s3Key };
}

function check(time: Buffer, key: Buffer, scope: PageScope): Buffer {
  // JSON keeps the parts apart: ("a", "bc") and ("ab", "c") differ.
  return createHash('sha256')
    .update(JSON.stringify([scope.userId, scope.filenamePrefix]))
    .update(time)
    .update(key)
    .digest()
    .subarray(0, CHECK_BYTES);
}
