import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { connect as connectHttp2, constants, createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { ConfigError } from '../../src/config/config-error.ts';
import { DENIED_USER_ID_HEADERS, userIdHeaderProblem } from '../../src/config/user-id-header.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { startTestService } from '../harness/service.ts';
import { envelope, FLAG, FRAME, frame, headerBlock, openRawHttp2 } from '../resilience/http2-frames.ts';

const ALLOWED = ['x-user-id', 'x-account', 'remote-user', 'x-forwarded-user'];

/** One denied name for each pattern. */
const DENIED = DENIED_USER_ID_HEADERS.map((pattern) => pattern.replace('*', 'anything'));

/** Every header that Node knows by name, and those of the two lists. */
const KNOWN = [
  ...new Set([
    ...Object.entries(constants)
      .filter(([constant]) => constant.startsWith('HTTP2_HEADER_'))
      .map(([, name]) => String(name))
      .filter((name) => !name.startsWith(':')),
    ...DENIED,
    ...ALLOWED,
  ]),
].sort();

describe('the list of headers that cannot name the user', () => {
  it('contains every header that Node knows by name', () => {
    const missing = KNOWN.filter(
      (name) => !ALLOWED.includes(name) && userIdHeaderProblem(name) === undefined,
    );
    expect(missing).toEqual([]);
  });

  it('gives the reason "two values" exactly for the headers whose values Node drops or refuses', async () => {
    const lost: string[] = [];
    for (const name of KNOWN) {
      const arrived = [await overHttp1(name), await overHttp2(name)];
      if (arrived.some((value) => value !== 'u1, u2')) lost.push(name);
    }
    expect(lost).toEqual(expect.arrayContaining(['from', 'x-content-type-options']));
    expect(lost.filter((name) => userIdHeaderProblem(name) === undefined)).toEqual([]);
    const listedAsLost = KNOWN.filter((name) => userIdHeaderProblem(name)?.includes('two values of it'));
    expect(listedAsLost.filter((name) => !lost.includes(name))).toEqual([]);
  });

  it.each(DENIED)('contains %s, and a configuration with it is refused with the reason', (name) => {
    let error: unknown;
    try {
      readConfig({ USER_ID_HEADER: name });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).problems).toEqual([
      expect.stringMatching(new RegExp(`^USER_ID_HEADER must not be ${name}: .{20,}`)),
    ]);
  });

  it.each(['X-User-Id', 'x-user-id-bin', 'x_user', '', ' x-user', ':path', 'x'.repeat(65)])(
    'does not need %j, because it is not a metadata key',
    (name) => {
      expect(userIdHeaderProblem(name)).toMatch(/lower-case metadata key/);
    },
  );

  it.each(ALLOWED)('does not contain %s', (name) => {
    expect(readConfig({ USER_ID_HEADER: name }).userIdHeader).toBe(name);
  });
});

describe.each(ALLOWED)('two values of %s', (header) => {
  const service = forAllTests(() => startTestService({ USER_ID_HEADER: header }));

  const PATH = '/files.v1.FileService/ListFiles';
  const calls: Record<string, (values: readonly string[]) => Promise<string>> = {
    gRPC: async (values) =>
      answerOverHttp2(
        service.grpcUrl,
        { ':path': PATH, 'content-type': 'application/grpc', te: 'trailers', [header]: values },
        envelope(new Uint8Array()),
      ),
    'Connect over HTTP/1': async (values) => {
      const lines = values.map((value) => `${header}: ${value}\r\n`).join('');
      const { hostname, port } = new URL(service.httpUrl);
      const socket = connect(Number(port), hostname);
      socket.write(
        `POST ${PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n${lines}\r\n{}`,
      );
      return text(socket);
    },
    'Connect over HTTP/2': async (values) =>
      answerOverHttp2(
        service.httpUrl,
        { ':path': PATH, 'content-type': 'application/json', [header]: values },
        Buffer.from('{}'),
      ),
  };

  it.each(Object.entries(calls))('are refused over %s', async (_, call) => {
    for (const values of [
      ['ada', 'bob'],
      ['ada', 'ada'],
      ['ada', ''],
      ['', 'bob'],
    ]) {
      expect(await call(values), values.join()).toContain('must be one value of 1 to');
    }
    expect(await call(['ada'])).not.toMatch(/must be one value|names no user/);
  });
});

/** The whole answer as text, including headers and trailers. */
async function answerOverHttp2(
  url: string,
  headers: Record<string, string | readonly string[]>,
  body: Uint8Array,
): Promise<string> {
  const session = connectHttp2(url);
  try {
    const stream = session.request({ ':method': 'POST', ...headers });
    const seen: unknown[] = [];
    stream.on('response', (response) => seen.push(response));
    stream.on('trailers', (trailers) => seen.push(trailers));
    stream.end(body);
    const content = await text(stream);
    return decodeURIComponent(JSON.stringify(seen)) + content;
  } finally {
    session.close();
  }
}

/**
 * The value that a Node server receives for two headers `u1` and `u2` of this name; `undefined` if it refuses
 * them.
 */
async function overHttp1(name: string): Promise<unknown> {
  let headers: IncomingHttpHeaders = {};
  const server = createServer((request, response) => {
    headers = request.headers;
    response.end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => undefined);
  const fixed = { host: 'a', connection: 'close' };
  const lines = Object.entries(fixed).filter(([fixedName]) => fixedName !== name);
  const all = [...lines, [name, 'u1'], [name, 'u2']].map(([key, value]) => `${key}: ${value}\r\n`);
  socket.resume().write(`GET / HTTP/1.1\r\n${all.join('')}\r\n`);
  // Node refuses some of these requests without calling the request listener.
  await Promise.race([once(socket, 'close'), once(server, 'request')]);
  socket.destroy();
  server.close();
  return headers[name];
}

async function overHttp2(name: string): Promise<unknown> {
  let headers: Record<string, unknown> = {};
  const server = createHttp2Server();
  server.on('sessionError', () => undefined);
  server.on('stream', (stream, arrived) => {
    headers = arrived;
    stream.respond({ ':status': 200 }, { endStream: true });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  using connection = await openRawHttp2((server.address() as AddressInfo).port);
  const { socket, received, closed } = connection;
  const fields: [string, string][] = [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    ...(name === 'host' ? [] : [[':authority', 'a'] as [string, string]]),
    [name, 'u1'],
    [name, 'u2'],
  ];
  socket.write(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, headerBlock(fields)));
  const ends = [FRAME.headers, FRAME.reset, FRAME.goaway];
  while (!socket.destroyed && !ends.some((type) => received.has(type))) {
    await Promise.race([once(socket, 'data'), closed]);
  }
  server.close();
  return headers[name];
}
