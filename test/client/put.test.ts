import { expect, it, onTestFinished } from 'vitest';
import { createPutClient } from '../../src/client/node/put.ts';
import { endlessServer } from '../harness/endless-server.ts';

async function* bytes() {
  yield Buffer.from('hello');
}

it.each([
  [403, 'S3 answered 403'],
  [200, undefined],
])('a PUT whose answer with status %d has no end is answered by the status', async (status, error) => {
  await using server = await endlessServer(status, 'application/xml');
  const client = createPutClient();
  onTestFinished(() => client.close());
  const target = { url: server.url, headers: { 'content-length': '5' } };
  const put = client.put(target, bytes(), { signal: AbortSignal.timeout(4_000), onSent: () => {} });
  expect(await put.catch(({ message }) => message)).toBe(error);
});
