/** How a file is cut into parts. Every part has `partBytes`, except the last part, which has the rest. */
export interface PartPlan {
  partBytes: number;
  /**
   * The parts in ascending order. The first `number` is 1. `end` is the offset after the last byte of the
   * part.
   */
  parts: { number: number; start: number; end: number }[];
}

/** S3's limit on the parts of one upload. */
const PARTS_MAX = 10_000;
const PART_UNIT_BYTES = 64 * 1024 ** 2;

/**
 * Returns the part size that the contract prescribes (see CreateMultipartUpload in the proto): the smallest
 * multiple of 64 MiB that gives at most 10,000 parts. The client computes the part size itself, as a client
 * in any other language must. test/client/part-plan.test.ts compares this function with `planParts` of
 * src/files/rules/part-plan.ts, which the service uses.
 */
export function publishedPartBytes(sizeBytes: number): number {
  return Math.max(1, Math.ceil(sizeBytes / (PARTS_MAX * PART_UNIT_BYTES))) * PART_UNIT_BYTES;
}

/** @throws Error if a wrong part size of the service gives more parts than an upload can have */
export function planParts(sizeBytes: number, partBytes: number): PartPlan {
  const count = Math.ceil(sizeBytes / partBytes);
  if (!(count >= 1 && count <= PARTS_MAX)) {
    throw new Error(`a file of ${sizeBytes} bytes cannot be sent in parts of ${partBytes}`);
  }
  const parts = Array.from({ length: count }, (_, i) => ({
    number: i + 1,
    start: i * partBytes,
    end: Math.min((i + 1) * partBytes, sizeBytes),
  }));
  return { partBytes, parts };
}
