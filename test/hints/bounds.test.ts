import { connect, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { startTestService } from '../harness/service.ts';
import { tell } from '../resilience/raw-calls.ts';
import { PATH, send, TOKEN } from './send.ts';

const service = forAllTests(() => startTestService({ STORAGE_EVENTS_TOKEN: TOKEN }));
const headers = { authorization: `Bearer ${TOKEN}` };

const HEAD = `POST ${PATH}/${TOKEN} HTTP/1.1\r\nHost: localhost\r\n`;
const MIB = 1024 * 1024;
const record = (key: string) => ({ s3: { bucket: { name: 'other' }, object: { key } } });
const records = (count: number) => ({
  Records: Array.from({ length: count }, (_, at) => record(`ada_${at}`)),
});
const padded = (bytes: number) => `{}${' '.repeat(bytes - 2)}`;

describe('a body', () => {
  it('may have 1 MiB, and its memory is free again afterwards', async () => {
    for (let sent = 0; sent < 20; sent++)
      expect(await send(service, padded(MIB))).toMatchObject({ status: 204 });
  });

  it('that is announced with more is refused before a byte of it is sent', async () => {
    const { outcome } = await tell(service.app.httpPort, `${HEAD}Content-Length: ${MIB + 1}\r\n\r\n`);
    expect(outcome).toBe('413');
  });

  it('of more than 1 MiB is refused', async () => {
    const refused = { status: 413, text: 'the body must have at most 1048576 bytes\n' };
    expect(await send(service, padded(MIB + 1))).toMatchObject(refused);
    const length = (MIB + 1).toString(16);
    const chunked = `${HEAD}Transfer-Encoding: chunked\r\n\r\n${length}\r\n${padded(MIB + 1)}\r\n0\r\n\r\n`;
    expect(await tell(service.app.httpPort, chunked)).toMatchObject({ outcome: '413' });
  });

  it.each(['gzip', 'br', 'deflate', 'aws-chunked', 'identity, gzip'])(
    'with Content-Encoding: %s is refused unread',
    async (encoding) => {
      const sent = send(service, gzipSync('{}'), { headers: { ...headers, 'content-encoding': encoding } });
      expect(await sent).toMatchObject({ status: 415, headers: { 'accept-encoding': 'identity' } });
    },
  );

  it('may have any Content-Type, or none', async () => {
    const types = ['text/plain', 'application/x-www-form-urlencoded', 'application/cloudevents+json', ''];
    for (const type of types) {
      const sent = send(service, {}, { headers: { ...headers, 'content-type': type } });
      expect(await sent).toMatchObject({ status: 204 });
    }
  });

  it.each(['', '{', 'no JSON', '{"Records":[', '\0'])('%j is refused', async (body) => {
    expect(await send(service, body)).toMatchObject({ status: 400, text: 'the body is not JSON\n' });
  });

  it('with a key that is not UTF-8 is ignored, because its sender would repeat it for ever', async () => {
    const body = Buffer.concat([Buffer.from('{"Records":[{"x":"'), Buffer.from([0xff]), Buffer.from('"}]}')]);
    expect(await send(service, body)).toMatchObject({ status: 204 });
  });
});

describe('a message', () => {
  it('may have 1,000 records', async () => {
    expect(await send(service, records(1_000))).toMatchObject({ status: 204 });
  });

  it('with more records is refused', async () => {
    expect(await send(service, records(1_001))).toMatchObject({
      status: 413,
      text: 'a message must have at most 1000 records\n',
    });
  });

  it('with more than 40,000 values is refused before it is decoded', async () => {
    const text = `the message must not have more than 40000 values\n`;
    expect(await send(service, `[${'1,'.repeat(40_000)}1]`)).toMatchObject({ status: 413, text });
    // This is no JSON, which only the decoder would notice.
    expect(await send(service, '['.repeat(40_001))).toMatchObject({ status: 413, text });
  });
});

it('messages that take the whole memory for messages are refused for now, after half a second', async () => {
  const begunMs = performance.now();
  const unfinished = Array.from({ length: 20 }, () => begin(service.app.httpPort));
  try {
    const first = await Promise.race(unfinished.map(({ answer }) => answer));
    expect(first).toMatch(/^HTTP\/1.1 503 .*\r\nretry-after: 1\r\n/s);
    expect(performance.now() - begunMs).toBeGreaterThan(450);
  } finally {
    for (const { socket } of unfinished) socket.destroy();
  }
  expect(await send(service, {})).toMatchObject({ status: 204 });
});

/** Sends all of a body of 1 MiB but its last byte. */
function begin(port: number): { socket: Socket; answer: Promise<string> } {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  socket.write(`${HEAD}Content-Length: ${MIB}\r\n\r\n${padded(MIB).slice(1)}`);
  const answer = new Promise<string>((resolve) => socket.once('data', (data) => resolve(data.toString())));
  return { socket, answer };
}
