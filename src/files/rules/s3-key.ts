import { hash, randomInt } from 'node:crypto';
import { FileError } from '../file-error.ts';
import { isUserId } from './user-id.ts';

/**
 * A key that the service made, or a text of a request that could be a key. Values of this type come only from
 * `s3Key`, `parseS3Key` and `parseOwnedKey`, and from the store in Postgres when it reads a row.
 */
export type S3Key = string & { readonly __brand: 'S3Key' };

/**
 * S3 allows keys of 1,024 bytes. MinIO, SeaweedFS, versitygw, S3Proxy and s3s-fs store an object in a file whose name
 * is the key, and file systems allow names of 255 bytes. 15 bytes are left for what a server adds to the name.
 */
export const S3_KEY_MAX_BYTES = 240;

/** A user id that is longer when it is encoded becomes a hash. The rest of the key is for the filename. */
const USER_MAX_BYTES = 128;

/** Begins the hash of a user id. No encoded id contains this text, because two hexadecimal digits follow each `.`. */
const HASH_PREFIX = '.sha256-';

/** An extension is cut to this length: a longer text after the last dot is usually part of a sentence. */
const EXTENSION_MAX_BYTES = 32;

// The alphabet has 32 symbols that readers do not confuse (Crockford's base32). Eight symbols are 40 random bits.
// If a user has a million files of one name, one new suffix in a million is taken and needs one more retry.
const SUFFIX_ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const SUFFIX_CHARACTERS = 8;

/**
 * Returns the key of a new file: `{user}_{stem}.{extension}` or, if that key is taken,
 * `{user}_{stem}-{suffix}.{extension}`.
 *
 * The user part contains no `_`, so the first `_` of a key ends it. Two different users never have the same user
 * part, so they never have the same key.
 */
export function s3Key(userId: string, filename: string, suffix = ''): S3Key {
  const user = userPart(userId);
  const { stem, extension } = splitExtension(filename);
  const safeExtension = safeCharacters(extension).slice(0, EXTENSION_MAX_BYTES);
  const tail = (suffix && `-${suffix}`) + (safeExtension && `.${safeExtension}`);
  const room = S3_KEY_MAX_BYTES - user.length - 1 - tail.length;
  // A name without any safe character ("日本", "???") still needs a stem.
  const safeStem = safeCharacters(stem).slice(0, room) || 'file';
  return `${user}_${safeStem}${tail}` as S3Key;
}

/** Makes a key unique when the plain key is taken. The suffix is not a secret. */
export function randomSuffix(): string {
  let suffix = '';
  while (suffix.length < SUFFIX_CHARACTERS) suffix += SUFFIX_ALPHABET[randomInt(SUFFIX_ALPHABET.length)];
  return suffix;
}

/**
 * Checks a key of a request. The key is only compared with stored keys, so any text that could be a key
 * passes and leads to "not found".
 *
 * @throws FileError INVALID_S3_KEY
 */
export function parseS3Key(text: string): S3Key {
  // The number of characters is checked first, because the later checks read the whole text. A character has at
  // least one byte, so this check refuses no valid key. No key contains NUL, and Postgres accepts no NUL in a text.
  if (
    text !== '' &&
    text.length <= S3_KEY_MAX_BYTES &&
    !text.includes('\0') &&
    text.isWellFormed() &&
    Buffer.byteLength(text) <= S3_KEY_MAX_BYTES
  ) {
    return text as S3Key;
  }
  throw new FileError(
    'INVALID_S3_KEY',
    `s3_key must be 1 to ${S3_KEY_MAX_BYTES} bytes of UTF-8 without NUL`,
    {
      field: 's3_key',
    },
  );
}

/**
 * The part of a user's keys that names the user: the encoded id, or for a long id its hash. A hash takes the same
 * number of bytes for an id of any length. `printf %s ID | sha256sum` prints the hash, and the key has it after
 * `.sha256-`.
 */
export function userPart(userId: string): string {
  const encoded = encodeUserId(userId);
  return encoded.length <= USER_MAX_BYTES ? encoded : HASH_PREFIX + hash('sha256', userId);
}

/** The user part of a key that `parseOwnedKey` has accepted. */
export function userPartOf(s3Key: S3Key): string {
  return s3Key.slice(0, s3Key.indexOf('_'));
}

/**
 * Keeps `[A-Za-z0-9-]` and encodes every other character as `.` and two hexadecimal digits. So `_` never
 * appears, and `.` appears only as an escape.
 */
function encodeUserId(userId: string): string {
  return userId.replace(
    /[^A-Za-z0-9-]/g,
    (character) => `.${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

const OWNED_KEY = /^((?:[A-Za-z0-9-]|\.[0-9A-F]{2})+|\.sha256-[0-9a-f]{64})_[A-Za-z0-9._-]+$/;

/** A key that this service can have made. */
export interface OwnedKey {
  s3Key: S3Key;
  /** `undefined` if the key has only the hash of the user id. */
  userId: string | undefined;
}

/** Returns a key of the bucket with its user; `undefined` if this service cannot have made the key. */
export function parseOwnedKey(text: string): OwnedKey | undefined {
  if (text.length > S3_KEY_MAX_BYTES) return undefined;
  const [, user = ''] = OWNED_KEY.exec(text) ?? [];
  if (user.startsWith(HASH_PREFIX)) return { userId: undefined, s3Key: text as S3Key };
  const userId = user.replace(/\.([0-9A-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  // Other programs that write to the bucket can choose a key whose user part decodes to NUL, which Postgres refuses.
  if (!isUserId(userId) || userPart(userId) !== user) return undefined;
  return { userId, s3Key: text as S3Key };
}

function splitExtension(filename: string): { stem: string; extension: string } {
  const dot = filename.lastIndexOf('.');
  // ".gitignore" has a stem and no extension.
  if (dot <= 0) return { stem: filename, extension: '' };
  return { stem: filename.slice(0, dot), extension: filename.slice(dot + 1) };
}

/**
 * Reduces the text to `[A-Za-z0-9._-]`. S3 calls these characters safe, and no URL, shell or signature treats
 * them specially. `é` becomes `e`. A sequence of characters that have no such simple form becomes one `_`. A `_`
 * at the start or end of the text is dropped.
 */
function safeCharacters(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .replace(/[^A-Za-z0-9._-]+/g, '_')
    .replace(/^_+|_+$/g, '');
}
