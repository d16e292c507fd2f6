import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { createSharedCapacity } from '../../src/overload/shared-capacity.ts';
import { createJsonEndpoints, type JsonEndpoint } from '../../src/rpc/http/json-endpoint/json-endpoint.ts';
import { createDecodeTurns } from '../../src/rpc/limits/decode-turns.ts';

/** The pause before 503 is 500 ms. A timer of Node may end a millisecond early. */
const PAUSED_MS = 490;

/** A port with an endpoint `/messages`, whose token is `token`, and an endpoint that is turned off. */
async function openEndpoint(receive: JsonEndpoint['receive'] = async () => ({ status: 204 })) {
  const proven: (string | undefined)[] = [];
  const refused: number[] = [];
  const budget = createSharedCapacity(1_000);
  const endpoint: JsonEndpoint = {
    token: 'token',
    maxBytes: 900,
    maxValues: 10,
    receive,
    onRefused: (status) => refused.push(status),
  };
  const answer = createJsonEndpoints({
    budget,
    takeDecodeTurn: createDecodeTurns(),
    endpoints: { '/messages': endpoint, '/off': undefined },
  });
  const server = createServer((request, response) => {
    if (!answer(request, response, () => proven.push(request.url))) response.writeHead(200).end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  return {
    ...{ url, budget, proven, refused },
    statusOf: async (path: string, body = '{}') =>
      (await fetch(`${url}${path}`, { method: 'POST', body })).status,
    [Symbol.dispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

it('a request counts as one without proof until its token was right', async () => {
  using endpoint = await openEndpoint();
  const { statusOf, proven, refused } = endpoint;
  const paths = ['/messages', '/messages/wrong', '/off/token', '/other', '/messages/token'];
  expect(await Promise.all(paths.map((path) => statusOf(path)))).toEqual([401, 401, 404, 200, 204]);
  expect(await statusOf('/messages/token', 'no JSON')).toBe(400);
  expect(proven).toEqual(['/messages/token', '/messages/token']);
  expect(refused).toEqual([401, 401, 400]);
});

it('a message that must be repeated is answered after half a second, and every other one at once', async () => {
  using endpoint = await openEndpoint(async (message) => ({ status: message as number }));
  const begunMs = performance.now();
  let refusedMs: number | undefined;
  const repeated = endpoint.statusOf('/messages/token', '503').then(() => {
    refusedMs = performance.now() - begunMs;
  });
  // One after the other: with a pause each, they would take longer than the first message.
  for (const body of ['204', '413', 'no JSON']) await endpoint.statusOf('/messages/token', body);
  expect(refusedMs).toBeUndefined();
  await repeated;
  expect(refusedMs).toBeGreaterThan(PAUSED_MS);
});

it('a message that finds no memory is answered after half a second, and holds none meanwhile', async () => {
  using endpoint = await openEndpoint();
  const { budget, url, refused } = endpoint;
  const begunMs = performance.now();
  const sent = request(`${url}/messages/token`, { method: 'POST' });
  sent.write(' '.repeat(400));
  await expect.poll(() => budget.taken).toBe(400);
  sent.end(' '.repeat(400));
  await expect.poll(() => refused).toEqual([503]);
  expect(budget.taken).toBe(0);
  const [response] = await once(sent, 'response');
  expect(response.statusCode).toBe(503);
  expect(performance.now() - begunMs).toBeGreaterThan(PAUSED_MS);
  response.resume();
  await once(response, 'close');
  expect(budget.taken).toBe(0);
});
