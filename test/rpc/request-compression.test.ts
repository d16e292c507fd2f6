import { brotliCompressSync, constants } from 'node:zlib';
import { expect, it } from 'vitest';
import { requestCompressions } from '../../src/rpc/http/compression.ts';

it('inflates a user’s message before the 50 messages that another user sent earlier', async () => {
  let userId = 'greedy';
  const brotli = requestCompressions(() => ({ userId, encoding: 'json' })).find(({ name }) => name === 'br');
  const message = brotliCompressSync('{}', { params: { [constants.BROTLI_PARAM_LGWIN]: 24 } });
  let inflated = 0;
  const inflate = async () => {
    await brotli?.decompress(message, 16_384);
    return ++inflated;
  };
  const greedy = Array.from({ length: 50 }, inflate);
  userId = 'modest';
  expect(await inflate()).toBeLessThan(10);
  await Promise.all(greedy);
});
