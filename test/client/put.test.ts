import { expect, it } from 'vitest';
import { createPutClient } from '../../src/client/put.ts';
import { endlessServer } from '../harness/endless-server.ts';

async function* bytes() {
  yield Buffer.from('hello');
}

it.each([
  [403, 'S3 answered 403'],
  [200, undefined],
])('a PUT whose answer with status %d has no end is answered by the status', async (status, error) => {
  await using server = await endlessServer(status, 'application/xml');
  using client = createPutClient();
  const target = { url: server.url, headers: { 'content-length': '5' } };
  const put = client.put(target, bytes(), AbortSignal.timeout(4_000));
  expect(await put.catch(({ message }) => message)).toBe(error);
});
