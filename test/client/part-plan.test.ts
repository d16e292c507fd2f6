import { expect, it } from 'vitest';
import { planParts, publishedPartBytes } from '../../src/client/upload/multipart/part-plan.ts';
import { bytesOfPart, PART_UNIT_BYTES, planParts as planOfService } from '../../src/files/rules/part-plan.ts';

const MiB = 1024 ** 2;
const EDGE = 10_000 * 64 * MiB;

it.each([1, 64 * MiB - 1, 64 * MiB, 64 * MiB + 1, 6 * 1024 * MiB, EDGE, EDGE + 1, 5 * 1024 ** 4])(
  'client and service cut a file of %i bytes into the same parts',
  (size) => {
    const service = planOfService(size, PART_UNIT_BYTES);
    const { partBytes, parts } = planParts(size, publishedPartBytes(size));
    expect({ partSize: partBytes, count: parts.length }).toEqual({
      partSize: service.partSize,
      count: service.count,
    });
    expect(parts.map(({ start, end }) => end - start)).toEqual(
      parts.map(({ number }) => bytesOfPart(service, number)),
    );
    expect(parts.map(({ start }) => start)).toEqual([0, ...parts.slice(0, -1).map(({ end }) => end)]);
    expect(parts.at(-1)?.end).toBe(size);
  },
);
