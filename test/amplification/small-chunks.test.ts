import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { callOn, warmUp } from './ordinary-call.ts';
import { gateway, HINTS_TOKEN, keepService, type ServiceKeeper } from './service.ts';

vi.setConfig({ testTimeout: 30_000 });

/** Half of the limit in `longest-block.test.ts`. A limit that counted the chunks of a read too late took 40 to 120 ms. */
const BLOCK_MAX_MS = 25;
const TRIES = 3;

/** With the headers, they fit into one read of Node. */
const CHUNKS = '1\r\nx\r\n'.repeat(10_800);

const CALL = 'POST /files.v1.FileService/ListFiles';
const JSON_TYPE = { 'content-type': 'application/json' };

/** The request line and the headers of requests over HTTP/1.1. */
const REQUESTS: Record<string, [line: string, headers?: Record<string, string>]> = {
  'a call': [CALL, { ...JSON_TYPE, ...gateway('ada') }],
  'a call without proof': [CALL, JSON_TYPE],
  'a health check': ['POST /grpc.health.v1.Health/Check', JSON_TYPE],
  'a page': ['GET /livez'],
  'an unknown path': ['POST /no'],
  'a hint': ['POST /storage-events', { authorization: `Bearer ${HINTS_TOKEN}` }],
};

let keeper: ServiceKeeper;
beforeAll(async () => {
  keeper = await keepService();
  await warmUp((await keeper.alive()).ports);
});
afterAll(() => keeper?.[Symbol.asyncDispose]());

describe('a request of 64 KiB in chunks of one byte blocks no other call for 25 ms', () => {
  it.for(Object.entries(REQUESTS))('%s', async ([, [line, headers = {}]]) => {
    const { probe, ports } = await keeper.alive();
    const fields = { host: 'localhost', 'transfer-encoding': 'chunked', ...headers };
    const head = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
    let leastMs = Number.POSITIVE_INFINITY;
    for (let tried = 0; tried < TRIES && leastMs >= BLOCK_MAX_MS; tried++) {
      const socket = connect(ports.HTTP, '127.0.0.1').on('error', () => {});
      const closed = new Promise((resolve) => socket.once('close', resolve));
      await once(socket, 'connect');
      await probe.blockMs();
      socket.resume().write(`${line} HTTP/1.1\r\n${head.join('')}\r\n${CHUNKS}`);
      await closed;
      leastMs = Math.min(leastMs, await probe.blockMs());
    }
    expect(leastMs).toBeLessThan(BLOCK_MAX_MS);
    expect(await callOn('HTTP', ports)).toBe('OK');
  });
});
