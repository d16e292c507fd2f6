import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http, { Agent, createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { createPutClient } from '../../src/client/node/put.ts';
import { endlessServer } from '../harness/endless-server.ts';

/** More than the kernel keeps between the two ends of a connection. */
const PIECES = 40;
const PIECE_BYTES = 256 * 1024;

const TRICKLE_MS = 10;

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

/** A server that sends `head` after the beginning of each request, and then `more` again and again. */
async function startTrickle(head: string, more: string) {
  const server = createTcpServer((socket) => {
    let timer: NodeJS.Timeout | undefined;
    socket.once('data', () => {
      socket.write(head);
      timer = setInterval(() => socket.write(more), TRICKLE_MS);
    });
    socket.on('error', () => {}).on('close', () => clearInterval(timer));
  });
  onTestFinished(() => void server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

const CHUNKED = 'Transfer-Encoding: chunked\r\n\r\n';

it.each([
  ['200 and a body that comes byte by byte', `HTTP/1.1 200 OK\r\n${CHUNKED}`, '1\r\nx\r\n', 'stored'],
  [
    '403 and a body that comes byte by byte',
    `HTTP/1.1 403 No\r\n${CHUNKED}`,
    '1\r\nx\r\n',
    'S3 answered 403',
  ],
  [
    '100 Continue again and again',
    '',
    'HTTP/1.1 100 Continue\r\n\r\n',
    'the connection to S3 broke: S3 answers without a status',
  ],
])(
  'a PUT that is answered with %s ends',
  async (_, head, more, expected) => {
    const url = await startTrickle(head, more);
    const client = createPutClient();
    onTestFinished(() => client.close());
    const signal = AbortSignal.timeout(8_000);
    const put = client.put({ url, headers: { 'content-length': '5' } }, bytes(), {
      signal,
      onSent: () => {},
    });
    expect(await put.then(() => 'stored').catch(({ message }) => message)).toBe(expected);
  },
  10_000,
);

/** An HTTP proxy that answers PUTs itself. `asked` has the request targets, which are whole URLs for a proxy. */
async function startProxy() {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    request.resume().on('end', () => response.end());
  });
  onTestFinished(() => void server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

const put = (client: ReturnType<typeof createPutClient>) =>
  client.put({ url: 'http://s3.test/key', headers: { 'content-length': '5' } }, bytes(), {
    signal: AbortSignal.timeout(4_000),
    onSent: () => {},
  });

it('the PUTs use the proxy that Node uses for the whole process', async () => {
  const proxy = await startProxy();
  // With NODE_USE_ENV_PROXY=1, Node sets such a global agent at its start.
  const { globalAgent } = http;
  http.globalAgent = new Agent({ proxyEnv: { HTTP_PROXY: proxy.url } });
  onTestFinished(() => {
    http.globalAgent = globalAgent;
  });
  const client = createPutClient();
  onTestFinished(() => client.close());
  await put(client);
  expect(proxy.asked).toEqual(['http://s3.test/key']);
});

it('the PUTs use the agent of the caller, which stays open', async () => {
  const proxy = await startProxy();
  const agent = new Agent({ keepAlive: true, proxyEnv: { HTTP_PROXY: proxy.url } });
  onTestFinished(() => agent.destroy());
  const client = createPutClient(agent);
  await put(client);
  client.close();
  expect(proxy.asked).toEqual(['http://s3.test/key']);
  expect(Object.values(agent.freeSockets)).toHaveLength(1);
});

it('the bytes of pieces that share one buffer arrive unchanged at a server that reads slowly', async () => {
  const digest = createHash('md5');
  const server = createServer((request, response) => {
    request.on('data', (piece: Buffer) => {
      digest.update(piece);
      request.pause();
      setTimeout(() => request.resume(), 1);
    });
    request.on('end', () => response.end());
  });
  onTestFinished(() => void server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const expected = createHash('md5');
  async function* pieces() {
    const buffer = Buffer.alloc(PIECE_BYTES);
    for (let i = 0; i < PIECES; i++) {
      expected.update(buffer.fill(i));
      yield buffer;
    }
  }
  const client = createPutClient();
  onTestFinished(() => client.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const target = { url, headers: { 'content-length': String(PIECES * PIECE_BYTES) } };
  await client.put(target, pieces(), { signal: AbortSignal.timeout(4_000), onSent: () => {} });
  expect(digest.digest('hex')).toBe(expected.digest('hex'));
});
