import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { REQUEST_TIMEOUT_MS } from '../../src/rpc/limits/limits.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { startTestService } from '../harness/service.ts';

const service = forAllTests(() => startTestService());

const CALL =
  'POST /files.v1.FileService/ListFiles HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json';

/** Requests over HTTP/1.1 that are answered before their body has ended. */
const ANSWERED = {
  'a refused call': CALL,
  'a page': 'GET /livez HTTP/1.1\r\nHost: localhost',
  'an unknown path': 'POST /no HTTP/1.1\r\nHost: localhost',
  'a call whose body arrives in too many small pieces': `${CALL}\r\nx-user-id: ada`,
};

/** Each chunk makes a piece. */
const SMALL_CHUNKS = '1\r\nx\r\n'.repeat(1_000);

async function begin(head: string): Promise<Socket> {
  const socket = connect(Number(new URL(service.httpUrl).port), '127.0.0.1').on('error', () => {});
  await once(socket, 'connect');
  socket.resume().write(`${head}\r\nTransfer-Encoding: chunked\r\n\r\n`);
  return socket;
}

describe('a connection is closed when the rest of an answered request arrives in small pieces', () => {
  it.for(Object.entries(ANSWERED))('%s', async ([, head]) => {
    const socket = await begin(head);
    const startMs = performance.now();
    while (!socket.destroyed) {
      socket.write(SMALL_CHUNKS);
      await sleep(10);
    }
    // Without the limit, the service closes the connection after REQUEST_TIMEOUT_MS.
    expect(performance.now() - startMs).toBeLessThan(REQUEST_TIMEOUT_MS - 500);
  });
});

it('a connection stays open when the rest of an answered request arrives in ordinary pieces', async () => {
  const socket = await begin(ANSWERED['a refused call']);
  let answers = '';
  socket.setEncoding('latin1').on('data', (text) => {
    answers += text;
  });
  for (let piece = 0; piece < 100; piece++) {
    socket.write(`400\r\n${'x'.repeat(0x400)}\r\n`);
    await sleep(1);
  }
  socket.write(`0\r\n\r\n${ANSWERED['a page']}\r\n\r\n`);
  await expect.poll(() => answers.match(/(?<=HTTP\/1\.1 )\d+/g)).toEqual(['401', '200']);
  socket.destroy();
});
