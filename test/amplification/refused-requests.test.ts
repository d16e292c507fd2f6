import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { heldByEach } from './held-by-each.ts';
import { warmUp } from './ordinary-call.ts';
import { quietHeld } from './quiet-held.ts';
import { ORIGIN, REFUSED_REQUESTS } from './refusals.ts';
import { openSender } from './sender.ts';
import { keepService, type ServiceKeeper } from './service.ts';

vi.setConfig({ testTimeout: 30_000 });

/** The heap that a stream of HTTP/2 may hold after its refusal. Its connection is shared by all copies. */
const STREAM_MAX_BYTES = 4e3;
/** Over HTTP/1.1, each copy has a connection, which stays open. A port has at most 1,000 connections. */
const CONNECTION_MAX_BYTES = 20e3;

const COPIES = { 1: 64, 2: 256 };

let keeper: ServiceKeeper;
beforeAll(async () => {
  keeper = await keepService({ CORS_ALLOWED_ORIGINS: ORIGIN });
  await warmUp((await keeper.alive()).ports);
});
afterAll(() => keeper?.[Symbol.asyncDispose]());

describe('a refused request whose body has not ended holds at most 4 kB over HTTP/2, 20 kB over HTTP/1.1', () => {
  it.for(REFUSED_REQUESTS)('$name', async ({ request, refusal }) => {
    const service = await keeper.alive();
    const { httpVersion } = request;
    const maxBytes = httpVersion === 1 ? CONNECTION_MAX_BYTES : STREAM_MAX_BYTES;
    const held = { copies: COPIES[httpVersion], connections: 1, maxBytes, refusal };
    expect(await heldByEach(service, request, held)).toBeLessThan(maxBytes);
  });
});

it('the values of Content-Type of refused requests are not kept in memory', async () => {
  const { probe, ports } = await keeper.alive();
  const refused = async () => {
    using sender = openSender(ports);
    for (let sent = 0; sent < 1_000; sent += 50) {
      const answers = Array.from({ length: 50 }, (_, index) =>
        sender.send(
          {
            port: 'HTTP',
            httpVersion: 2,
            path: '/grpc.health.v1.Health/Check',
            headers: { 'content-type': `text/plain; a=${sent + index}${'a'.repeat(8_000)}` },
            body: Buffer.alloc(1),
            isEndless: false,
          },
          'half open',
        ),
      );
      for (const { code } of await Promise.all(answers)) expect(code).toBe('INVALID_ARGUMENT');
    }
  };
  const baseBytes = await quietHeld(probe);
  await refused();
  expect((await quietHeld(probe)) - baseBytes).toBeLessThan(2e6);
});
