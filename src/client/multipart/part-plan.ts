/** How a file is cut: every part has `partBytes`, but the last, which has the rest. */
export interface PartPlan {
  partBytes: number;
  /** In order; `number` counts from 1, `end` is exclusive. */
  parts: { number: number; start: number; end: number }[];
}

const PARTS_MAX = 10_000;
const PART_UNIT_BYTES = 64 * 1024 ** 2;

/**
 * The contract's rule (see CreateMultipartUpload): the smallest multiple of 64 MiB that gives at most 10,000 parts. It
 * is written down on either side of the wire, as in any language; a test holds this against the service's own.
 */
export function publishedPartBytes(sizeBytes: number): number {
  return Math.max(1, Math.ceil(sizeBytes / (PARTS_MAX * PART_UNIT_BYTES))) * PART_UNIT_BYTES;
}

export function planParts(sizeBytes: number, partBytes: number): PartPlan {
  const count = Math.ceil(sizeBytes / partBytes);
  const parts = Array.from({ length: count }, (_, i) => ({
    number: i + 1,
    start: i * partBytes,
    end: Math.min((i + 1) * partBytes, sizeBytes),
  }));
  return { partBytes, parts };
}
