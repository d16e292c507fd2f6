import { createHash } from 'node:crypto';
import type { Md5 } from './md5.ts';

/**
 * By what a content is known: the ETag that S3 gives it. The MD5 of the bytes in
 * hexadecimal or, uploaded in parts, the MD5 of the parts' MD5s and their number,
 * `<32 digits>-<parts>`. Either is known before a byte moves.
 */
export type Fingerprint = string & { readonly __brand: 'Fingerprint' };

const FORM = /^([0-9a-f]{32})(?:-(\d{1,5}))?$/;

/** What an ETag says, if it says what the content is. */
export function parseFingerprint(etag: string): Fingerprint | undefined {
  return FORM.test(etag) ? (etag as Fingerprint) : undefined;
}

export function fingerprintOf(md5: Md5): Fingerprint {
  return Buffer.from(md5, 'base64').toString('hex') as Fingerprint;
}

/** @param md5s 16 bytes each, in the order of the parts */
export function multipartFingerprint(md5s: readonly Uint8Array[]): Fingerprint {
  const hash = createHash('md5');
  for (const md5 of md5s) hash.update(md5);
  return `${hash.digest('hex')}-${md5s.length}` as Fingerprint;
}

/** The MD5 of the bytes; nobody knows that of a file in parts. */
export function md5Of(fingerprint: Fingerprint): Md5 | undefined {
  return isMultipart(fingerprint) ? undefined : (Buffer.from(fingerprint, 'hex').toString('base64') as Md5);
}

export function isMultipart(fingerprint: Fingerprint): boolean {
  return fingerprint.includes('-');
}

/**
 * Whether one says that the other is wrong. Cut into other parts, as a copy of
 * the object may be, the same content has another fingerprint, and neither tells.
 */
export function areComparable(one: Fingerprint, other: Fingerprint): boolean {
  return FORM.exec(one)?.[2] === FORM.exec(other)?.[2];
}
