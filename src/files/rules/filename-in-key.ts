import { FILENAME_MAX_BYTES } from './filename.ts';
import type { S3Key } from './s3-key.ts';

/** The longest extension, with its dot. `s3-key.ts` allows 32 characters without the dot. */
const EXTENSION_MAX_CHARACTERS = 33;

/**
 * Returns a name for a file of which only the key is known. Characters that a key cannot contain are lost. If the
 * key has a suffix that makes it unique, the suffix stays in the name, because many names end in eight such
 * characters themselves (`scan-20260131.pdf`).
 *
 * A key can hold a longer name than a file may have, because a character such as `㎢` takes more characters
 * in a key. The name is then cut before its extension.
 */
export function filenameInKey(s3Key: S3Key): string {
  const name = s3Key.slice(s3Key.indexOf('_') + 1);
  if (name === '.' || name === '..') return 'file';
  if (name.length <= FILENAME_MAX_BYTES) return name;
  const dot = name.lastIndexOf('.');
  const extension = dot > 0 && name.length - dot <= EXTENSION_MAX_CHARACTERS ? name.slice(dot) : '';
  return name.slice(0, FILENAME_MAX_BYTES - extension.length) + extension;
}
