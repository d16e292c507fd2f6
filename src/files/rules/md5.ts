import { FileError } from '../file-error.ts';

/** The length of a raw MD5. */
export const MD5_BYTES = 16;

/** The MD5 of a file's bytes in canonical base64: 24 characters. */
export type Md5 = string & { readonly __brand: 'Md5' };

const HEX = /^[0-9a-fA-F]{32}$/;
const BASE64 = /^[A-Za-z0-9+/]{22}==$/;

/**
 * Accepts 32 hexadecimal digits in either case, or canonical base64.
 *
 * @throws FileError INVALID_MD5
 */
export function parseMd5(text: string): Md5 {
  if (HEX.test(text)) return Buffer.from(text, 'hex').toString('base64') as Md5;
  // Node's decoder ignores the four unused bits of the 22nd character, so several spellings would mean one
  // hash. Only the spelling that Node's encoder produces is accepted.
  if (BASE64.test(text) && Buffer.from(text, 'base64').toString('base64') === text) return text as Md5;
  throw new FileError(
    'INVALID_MD5',
    'md5 must be 32 hexadecimal digits, or 24 characters of canonical base64 (16 bytes, padded)',
    { field: 'md5' },
  );
}
