import { MD5_BYTES } from './md5.ts';
import { bytesOfPart, type PartPlan } from './part-plan.ts';

/** A part as S3 lists it. */
export interface StoredPart {
  /** Counts from 1. */
  number: number;
  /** Bytes. */
  size: number;
  /** The ETag without its quotes: the MD5 in hexadecimal, except under SSE-KMS. */
  etag: string;
}

/** A part plan with the announced content of each part. */
export interface AnnouncedParts extends PartPlan {
  /** 16 bytes for each part, in part order. */
  md5s: Buffer;
}

/** The MD5 that the client announced for a part; `number` counts from 1. */
export function md5OfPart({ md5s }: AnnouncedParts, number: number): Buffer {
  return md5s.subarray((number - 1) * MD5_BYTES, number * MD5_BYTES);
}

interface PartsComparison {
  /** The parts that S3 holds as announced; they can be completed. */
  right: StoredPart[];
  /** The numbers of the parts that S3 does not hold. */
  missing: number[];
  /** The numbers of the parts for which S3 holds other bytes. */
  wrong: number[];
}

/**
 * Compares the parts that S3 holds with the announced parts. The URL of a part signs the MD5 and the length of the part,
 * so other bytes cannot come through that URL. They come from another writer of the bucket.
 */
export function compareParts(stored: readonly StoredPart[], announced: AnnouncedParts): PartsComparison {
  const byNumber = new Map(stored.map((part) => [part.number, part]));
  // Under SSE-KMS, the ETag of a part is not its MD5. If no ETag equals the announced MD5, only the sizes are
  // compared here, and `completeMultipartUpload` verifies the complete object.
  const etagsAreMd5s = stored.some((part) => part.etag === md5Hex(announced, part.number));
  const comparison: PartsComparison = { right: [], missing: [], wrong: [] };
  for (let number = 1; number <= announced.count; number++) {
    const part = byNumber.get(number);
    if (part === undefined) comparison.missing.push(number);
    else if (part.size !== bytesOfPart(announced, number)) comparison.wrong.push(number);
    else if (etagsAreMd5s && part.etag !== md5Hex(announced, number)) comparison.wrong.push(number);
    else comparison.right.push(part);
  }
  return comparison;
}

function md5Hex(announced: AnnouncedParts, number: number): string {
  return md5OfPart(announced, number).toString('hex');
}
