import { randomInt } from 'node:crypto';
import { FileError } from '../file-error.ts';

/** S3 allows 1,024; half of it leaves room in URLs, logs and other people's columns. */
export const S3_KEY_MAX_BYTES = 512;

/** Longer "extensions" are sentences with a dot in them. */
const EXTENSION_MAX_BYTES = 32;

// 32 symbols that nobody misreads (Crockford). Eight of them are 40 bits: among
// a million files of one user and one name, one more retry in a million creates.
const SUFFIX_ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const SUFFIX_CHARACTERS = 8;

/**
 * The key of a new file, `{user}_{stem}.{extension}`; with a suffix, where the
 * plain one is taken, `{user}_{stem}-{suffix}.{extension}`.
 *
 * The user part is injective and has no `_`, so that the first `_` of a key
 * ends it: no two users can ever meet in one key.
 */
export function s3Key(userId: string, filename: string, suffix = ''): string {
  const user = encodeUserId(userId);
  const { stem, extension } = splitExtension(filename);
  const safeExtension = safeCharacters(extension).slice(0, EXTENSION_MAX_BYTES);
  const tail = (suffix && `-${suffix}`) + (safeExtension && `.${safeExtension}`);
  const room = S3_KEY_MAX_BYTES - user.length - 1 - tail.length;
  // A name of which nothing can be kept ("日本", "???") is still a file.
  const safeStem = safeCharacters(stem).slice(0, room) || 'file';
  return `${user}_${safeStem}${tail}`;
}

/** What makes a key unique when the plain one is taken. Not a secret. */
export function randomSuffix(): string {
  let suffix = '';
  while (suffix.length < SUFFIX_CHARACTERS) suffix += SUFFIX_ALPHABET[randomInt(SUFFIX_ALPHABET.length)];
  return suffix;
}

/**
 * A key out of a request. It is only ever compared with stored ones, so
 * anything that could be a key is let through to "not found".
 *
 * @throws FileError INVALID_S3_KEY
 */
export function parseS3Key(text: string): string {
  // The length first: a character has at least one byte, and what follows reads the whole text.
  // No key holds a NUL, and Postgres takes none in a text.
  if (
    text !== '' &&
    text.length <= S3_KEY_MAX_BYTES &&
    !text.includes('\0') &&
    text.isWellFormed() &&
    Buffer.byteLength(text) <= S3_KEY_MAX_BYTES
  ) {
    return text;
  }
  throw new FileError(
    'INVALID_S3_KEY',
    `s3_key must be 1 to ${S3_KEY_MAX_BYTES} bytes of UTF-8 without NUL`,
    {
      field: 's3_key',
    },
  );
}

/** `[A-Za-z0-9-]` as they are, everything else as `.` and two hexadecimal digits; so `.` itself and `_` never appear plainly. */
function encodeUserId(userId: string): string {
  return userId.replace(
    /[^A-Za-z0-9-]/g,
    (character) => `.${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

/** The user whose key this is; `undefined` for a key that this service never makes. */
export function ownerOfKey(key: string): string | undefined {
  const [, user = ''] = /^((?:[A-Za-z0-9-]|\.[0-9A-F]{2})+)_[A-Za-z0-9._-]+$/.exec(key) ?? [];
  const userId = user.replace(/\.([0-9A-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return userId !== '' && encodeUserId(userId) === user ? userId : undefined;
}

function splitExtension(filename: string): { stem: string; extension: string } {
  const dot = filename.lastIndexOf('.');
  // ".gitignore" is all stem.
  if (dot <= 0) return { stem: filename, extension: '' };
  return { stem: filename.slice(0, dot), extension: filename.slice(dot + 1) };
}

/**
 * Reduces text to `[A-Za-z0-9._-]`, the characters that S3 calls safe and that
 * no URL, shell or signature treats specially. `é` becomes `e`; what has no such
 * form becomes `_`; at the ends it is dropped.
 */
function safeCharacters(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .replace(/[^A-Za-z0-9._-]+/g, '_')
    .replace(/^_+|_+$/g, '');
}
