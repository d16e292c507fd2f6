import { expect, it } from 'vitest';
import { batchCreatePresignedUploads } from '../../src/files/operations/batch-create-presigned-uploads.ts';
import { mapInSlices } from '../../src/files/operations/in-slices.ts';

type Ports = Parameters<typeof batchCreatePresignedUploads>[0];

/** @returns the result of `run`, and how often the event loop has served others meanwhile */
async function counted<Result>(run: () => Promise<Result>) {
  let iterations = 0;
  let counting = setImmediate(function count() {
    iterations += 1;
    counting = setImmediate(count);
  });
  try {
    return { result: await run(), iterations };
  } finally {
    clearImmediate(counting);
  }
}

it('maps the items in their order, and lets the event loop go on after each hundred', async () => {
  const items = Array.from({ length: 250 }, (_, i) => i);
  const { result, iterations } = await counted(() => mapInSlices(items, (item, index) => item + index));
  expect(result).toEqual(items.map((i) => 2 * i));
  expect(iterations).toBeGreaterThanOrEqual(2);
});

it('a batch of 1,000 wrong requests does not block the event loop until it is answered', async () => {
  const ports = { presigner: { presignUploads: async () => [] }, observer: {} };
  const answer = batchCreatePresignedUploads(ports as unknown as Ports);
  const wrong = { filename: 'a/b', mimeType: 'x', md5: '', size: undefined };
  const { result, iterations } = await counted(() =>
    answer(
      { userId: 'ada', deadline: Date.now() + 60_000 },
      Array.from({ length: 1_000 }, () => wrong),
    ),
  );
  expect(result).toHaveLength(1_000);
  expect(iterations).toBeGreaterThanOrEqual(9);
});
