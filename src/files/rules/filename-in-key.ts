import type { S3Key } from './s3-key.ts';

/**
 * Returns a name for a file of which only the key is known. Characters that a key cannot contain are lost. If the
 * key has a suffix that makes it unique, the suffix stays in the name, because many names end in eight such
 * characters themselves (`scan-20260131.pdf`). A key is shorter than a name may be, so the name is not too long.
 */
export function filenameInKey(s3Key: S3Key): string {
  const name = s3Key.slice(s3Key.indexOf('_') + 1);
  return name === '.' || name === '..' ? 'file' : name;
}
