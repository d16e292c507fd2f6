import { createHash } from 'node:crypto';
import type { Md5 } from './md5.ts';
import { PARTS_MAX } from './part-plan.ts';

/**
 * Identifies a content by the ETag that S3 gives it. After a single PUT, the ETag is the MD5 of the bytes in
 * hexadecimal. After a multipart upload, it is the MD5 of the parts' MD5s and the number of parts,
 * `<32 digits>-<parts>`. The client knows the MD5s, and so the ETag, before it sends any byte.
 */
export type Fingerprint = string & { readonly __brand: 'Fingerprint' };

const FORM = /^([0-9a-f]{32})(?:-(\d{1,5}))?$/;

/** Returns the fingerprint; `undefined` if the ETag does not identify the content. */
export function parseFingerprint(etag: string): Fingerprint | undefined {
  return FORM.test(etag) ? (etag as Fingerprint) : undefined;
}

/**
 * Whether an upload can have this fingerprint. An S3 server can send any ETag, but a row in Postgres cannot keep
 * a number of parts such as `007` or `99999`.
 */
export function isPossible(fingerprint: Fingerprint): boolean {
  const parts = FORM.exec(fingerprint)?.[2];
  return parts === undefined || (/^[1-9]/.test(parts) && Number(parts) <= PARTS_MAX);
}

export function fingerprintOf(md5: Md5): Fingerprint {
  return Buffer.from(md5, 'base64').toString('hex') as Fingerprint;
}

/** @param md5s 16 bytes for each part, in part order */
export function multipartFingerprint(md5s: readonly Uint8Array[]): Fingerprint {
  const hash = createHash('md5');
  for (const md5 of md5s) hash.update(md5);
  return `${hash.digest('hex')}-${md5s.length}` as Fingerprint;
}

/** Returns the MD5 of the bytes; `undefined` for a multipart upload, whose MD5 is not known. */
export function md5Of(fingerprint: Fingerprint): Md5 | undefined {
  return isMultipart(fingerprint) ? undefined : (Buffer.from(fingerprint, 'hex').toString('base64') as Md5);
}

export function isMultipart(fingerprint: Fingerprint): boolean {
  return fingerprint.includes('-');
}
