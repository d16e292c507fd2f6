import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { createSharedCapacity } from '../../src/overload/shared-capacity.ts';
import { createJsonEndpoints } from '../../src/rpc/http/json-endpoint/json-endpoint.ts';
import { createDecodeTurns } from '../../src/rpc/limits/decode-turns.ts';

it('a request counts as one without proof until its token was right', async () => {
  const proven: (string | undefined)[] = [];
  const refused: number[] = [];
  const endpoint = {
    token: 'token',
    maxBytes: 100,
    maxValues: 10,
    receive: async () => ({ status: 204 }),
    onRefused: (status: number) => refused.push(status),
  };
  const answer = createJsonEndpoints({
    budget: createSharedCapacity(1_000),
    takeDecodeTurn: createDecodeTurns(),
    endpoints: { '/messages': endpoint, '/off': undefined },
  });
  const server = createServer((request, response) => {
    if (!answer(request, response, () => proven.push(request.url))) response.writeHead(200).end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const statusOf = async (path: string, body = '{}') =>
    (await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body })).status;

  const paths = ['/messages', '/messages/wrong', '/off/token', '/other', '/messages/token'];
  expect(await Promise.all(paths.map((path) => statusOf(path)))).toEqual([401, 401, 404, 200, 204]);
  expect(await statusOf('/messages/token', 'no JSON')).toBe(400);
  expect(proven).toEqual(['/messages/token', '/messages/token']);
  expect(refused).toEqual([401, 401, 400]);
  server.close();
  server.closeAllConnections();
});
