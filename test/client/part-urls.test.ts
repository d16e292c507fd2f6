import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { expect, it } from 'vitest';
import { CreatePresignedPartsResponseSchema } from '../../gen/files/v1/file_service_pb.ts';
import { createPartUrls } from '../../src/client/upload/multipart/part-urls.ts';

const signal = new AbortController().signal;

/** A service whose URLs expire after `lifeMs` by its clock, and the part numbers of each call that it got. */
function createService(lifeMs: number) {
  const asked: number[][] = [];
  const ask = async (partNumbers: number[]) => {
    asked.push(partNumbers);
    return create(CreatePresignedPartsResponseSchema, {
      parts: partNumbers.map((partNumber) => ({ partNumber, presignedUrl: `${asked.length}/${partNumber}` })),
      expireTime: timestampFromMs(Date.now() + lifeMs),
    });
  };
  return { asked, ask };
}

const NUMBERS = Array.from({ length: 20 }, (_, i) => i + 1);

it('requests URLs in batches that workers share when they start together', async () => {
  const { asked, ask } = createService(60_000);
  const urls = createPartUrls(ask, NUMBERS);
  const targets = await Promise.all(NUMBERS.map((number) => urls.take(number, signal)));
  expect(targets.map(({ url }) => url)).toEqual(NUMBERS.map((n) => `${n <= 16 ? 1 : 2}/${n}`));
  expect(asked.map(({ length }) => length)).toEqual([16, 4]);
});

it('returns a fresh URL when a part needs a second one', async () => {
  const { asked, ask } = createService(60_000);
  const urls = createPartUrls(ask, [1, 2]);
  expect((await urls.take(1, signal)).url).toBe('1/1');
  expect((await urls.take(1, signal)).url).toBe('2/1');
  expect((await urls.take(2, signal)).url).toBe('1/2');
  expect(asked).toEqual([[1, 2], [1]]);
});

it('returns only fresh URLs after it was told to forget', async () => {
  const { ask } = createService(60_000);
  const urls = createPartUrls(ask, [1, 2]);
  expect((await urls.take(1, signal)).url).toBe('1/1');
  urls.forget();
  expect((await urls.take(2, signal)).url).toBe('2/2');
});

it('replaces a URL after half of its lifetime, but uses a new URL that seems expired', async () => {
  // A clock that is wrong by an hour: every URL seems expired.
  const { asked, ask } = createService(-3_600_000);
  const urls = createPartUrls(ask, [1, 2]);
  expect((await urls.take(1, signal)).url).toBe('1/1');
  expect((await urls.take(2, signal)).url).toBe('2/2');
  expect(asked).toEqual([[1, 2], [2]]);
});

it('rejects with the error of a failed call, and calls again the next time', async () => {
  const { ask } = createService(60_000);
  let failures = 1;
  const urls = createPartUrls(
    (numbers) => (failures-- > 0 ? Promise.reject(new Error('no')) : ask(numbers)),
    [1],
  );
  await expect(urls.take(1, signal)).rejects.toThrow('no');
  expect((await urls.take(1, signal)).url).toBe('1/1');
});
