import { FileError } from '../file-error.ts';
import { parseFields } from '../parse-fields.ts';
import { MD5_BYTES } from './md5.ts';

/**
 * How a file is cut into parts: every part has `partSize` bytes, except the last part, which has the rest.
 */
export interface PartPlan {
  size: number;
  partSize: number;
  count: number;
}

/** The most parts that S3 accepts in one upload (Amazon S3 User Guide, "Multipart upload limits"). */
export const PARTS_MAX = 10_000;

/** The smallest size of a part other than the last, and the largest size of any part (same source). */
export const PART_MIN_BYTES = 5 * 1024 ** 2;
export const PART_MAX_BYTES = 5 * 1024 ** 3;

/** Every part size is a multiple of this unit, 64 MiB. Clients compute the part size with it (see `planParts`). */
export const PART_UNIT_BYTES = 64 * 1024 ** 2;

/**
 * The most URLs per call. A URL has about 600 bytes, and several thousand with a long session token. S3 accepts at most
 * 8 kB of request line and headers, so 500 URLs stay below the 4 MiB that gRPC's clients accept by default.
 */
export const PART_NUMBERS_MAX = 500;

export interface PartRule {
  /** Every part size is a multiple of this. */
  unitBytes: number;
  /** The size of the largest file. */
  maxBytes: number;
}

/**
 * The rule that the proto tells clients: the part size is the smallest multiple of the unit with at most 10,000 parts.
 */
export function planParts(size: number, unitBytes: number): PartPlan {
  const partSize = Math.max(1, Math.ceil(size / (PARTS_MAX * unitBytes))) * unitBytes;
  return { size, partSize, count: Math.ceil(size / partSize) };
}

/** The size of a part in bytes; `number` counts from 1. */
export function bytesOfPart({ size, partSize, count }: PartPlan, number: number): number {
  return number === count ? size - partSize * (count - 1) : partSize;
}

export function allPartNumbers({ count }: PartPlan): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

/**
 * Returns how the file of a request is cut. Without a valid size, only the length of each MD5 can be checked.
 *
 * @throws FileError INVALID_SIZE, FILE_TOO_LARGE, INVALID_PARTS
 */
export function parsePartPlan(size: bigint, md5s: readonly Uint8Array[], rule: PartRule): PartPlan {
  let plan: PartPlan | undefined;
  const { whole } = parseFields({
    whole: () => {
      plan = planParts(parseMultipartSize(size, rule), rule.unitBytes);
      return plan;
    },
    md5s: () => checkPartMd5s(md5s, plan),
  });
  return whole;
}

/** @throws FileError INVALID_SIZE, FILE_TOO_LARGE */
function parseMultipartSize(size: bigint, { maxBytes }: PartRule): number {
  if (size < 1n) {
    throw new FileError(
      'INVALID_SIZE',
      'size must be at least 1, because a multipart upload has at least one part',
      {
        field: 'size',
      },
    );
  }
  if (size > maxBytes) {
    throw new FileError('FILE_TOO_LARGE', `size must be at most ${maxBytes} bytes, the largest object`, {
      field: 'size',
      metadata: { limit_bytes: String(maxBytes) },
    });
  }
  return Number(size);
}

/** @throws FileError INVALID_PARTS whose message says how the size is cut */
function checkPartMd5s(md5s: readonly Uint8Array[], plan: PartPlan | undefined): void {
  // The count is checked first. So the search below reads at most 10,000 MD5s, although a request may have more.
  if (plan !== undefined && md5s.length !== plan.count) {
    throw invalidParts(
      'part_md5s',
      `${plan.size} bytes are ${plan.count} parts of ${plan.partSize} bytes (the last part has the rest), but the request has ${md5s.length} MD5s`,
      plan,
    );
  }
  const wrong = md5s.findIndex((md5) => md5.length !== MD5_BYTES);
  if (wrong >= 0) {
    throw invalidParts(
      'part_md5s',
      `the MD5 of part ${wrong + 1} has ${md5s[wrong]?.length} bytes; it must be the ${MD5_BYTES} raw bytes`,
      plan,
    );
  }
}

/**
 * Checks the part numbers of a request before anything is known of the file.
 *
 * @throws FileError INVALID_PARTS
 */
export function parsePartNumbers(numbers: readonly number[]): readonly number[] {
  const problem = problemOfNumbers(numbers);
  if (problem !== undefined) throw invalidParts('part_numbers', problem);
  return numbers;
}

function problemOfNumbers(numbers: readonly number[]): string | undefined {
  if (numbers.length === 0 || numbers.length > PART_NUMBERS_MAX) {
    return `part_numbers must have 1 to ${PART_NUMBERS_MAX} numbers, and has ${numbers.length}`;
  }
  const seen = new Set<number>();
  for (const number of numbers) {
    if (number < 1) return `part ${number} does not exist: parts are counted from 1`;
    if (seen.has(number)) return `part_numbers contains part ${number} twice`;
    seen.add(number);
  }
  return undefined;
}

/** @throws FileError INVALID_PARTS if a number is larger than the last part of the file */
export function checkPartsExist(numbers: readonly number[], plan: PartPlan): void {
  const outside = numbers.find((number) => number > plan.count);
  if (outside === undefined) return;
  const problem = `part ${outside} does not exist: this file has parts 1 to ${plan.count}`;
  throw invalidParts('part_numbers', problem, plan);
}

/** @param plan `undefined` if the error does not depend on the size of the file */
function invalidParts(field: string, message: string, plan?: PartPlan): FileError {
  const metadata =
    plan === undefined ? {} : { part_size: String(plan.partSize), part_count: String(plan.count) };
  return new FileError('INVALID_PARTS', message, { field, metadata });
}
