import { bytesOfPart, PART_MD5_BYTES, type PartPlan } from './part-plan.ts';

/** A part as S3 lists it. */
export interface StoredPart {
  /** From 1. */
  number: number;
  /** Bytes. */
  size: number;
  /** Without the quotes; the MD5 in hexadecimal, but under SSE-KMS. */
  etag: string;
}

/** A plan and the content that was announced for each of its parts. */
export interface AnnouncedParts extends PartPlan {
  /** 16 bytes for each, in their order. */
  md5s: Buffer;
}

/** The announced MD5 of a part; `number` counts from 1. */
export function md5OfPart({ md5s }: AnnouncedParts, number: number): Buffer {
  return md5s.subarray((number - 1) * PART_MD5_BYTES, number * PART_MD5_BYTES);
}

export interface Comparison {
  /** What was announced and S3 holds, ready to be completed. */
  right: StoredPart[];
  /** The numbers of the parts that S3 does not hold. */
  missing: number[];
  /** The numbers of the parts of which S3 holds other bytes. */
  wrong: number[];
}

/**
 * Holds what S3 has against what was announced. URLs bind each part's MD5 and
 * length, so other bytes are from somebody else who writes into the bucket.
 */
export function compareParts(stored: readonly StoredPart[], announced: AnnouncedParts): Comparison {
  const byNumber = new Map(stored.map((part) => [part.number, part]));
  // Under SSE-KMS no ETag is an MD5; then sizes have to do, and the look at the whole object that follows.
  const etagsTell = stored.some((part) => part.etag === md5Hex(announced, part.number));
  const comparison: Comparison = { right: [], missing: [], wrong: [] };
  for (let number = 1; number <= announced.count; number++) {
    const part = byNumber.get(number);
    if (part === undefined) comparison.missing.push(number);
    else if (part.size !== bytesOfPart(announced, number)) comparison.wrong.push(number);
    else if (etagsTell && part.etag !== md5Hex(announced, number)) comparison.wrong.push(number);
    else comparison.right.push(part);
  }
  return comparison;
}

function md5Hex(announced: AnnouncedParts, number: number): string {
  return md5OfPart(announced, number).toString('hex');
}
