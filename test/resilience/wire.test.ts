import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import {
  PIPELINED_REQUESTS_MAX,
  STREAMS_PER_CONNECTION_MAX,
  UNPROVEN_REQUESTS_MAX,
} from '../../src/rpc/limits/limits.ts';
import { type ExternalServers, externalServers } from '../harness/external-servers.ts';
import { LONG } from '../harness/long-form.ts';
import { residentMb } from '../harness/resident-memory.ts';
import { startTestService } from '../harness/service.ts';
import { type ServiceProcess, startService } from '../harness/service-process.ts';
import { envelope, FLAG, FRAME, frame, grpcHeaders, headerBlock, openRawHttp2 } from './http2-frames.ts';
import { report } from './outcome.ts';
import { ask, grpc, json, type RawAnswer, tell } from './raw-calls.ts';
import { SLOW_CLIENTS } from './slow-clients.ts';

vi.setConfig({ testTimeout: 60_000 });

/** Prints a span for each call and each query, so that a test can check what a call did. */
const SDK = pathToFileURL(join(import.meta.dirname, '../e2e/print-spans.ts')).href;

let servers: ExternalServers;
let service: ServiceProcess;
let grpcPort: number;
let httpPort: number;
/**
 * The slow clients and the time in ms until the service ended each. All start together and run beside the
 * other tests, because each takes as long as the service allows.
 */
let slow: Promise<[string, number][]>;
beforeAll(async () => {
  servers = await externalServers();
  service = await startService({
    environment: { ...servers.environment, MIGRATE_ON_START: 'true', NODE_OPTIONS: `--import=${SDK}` },
  });
  grpcPort = Number(service.grpc.split(':')[1]);
  httpPort = Number(new URL(service.http).port);
  const clients = [
    ...Object.entries(SLOW_CLIENTS.gRPC).map(([name, run]) => ({
      name: `gRPC: ${name}`,
      port: grpcPort,
      run,
    })),
    ...Object.entries(SLOW_CLIENTS.HTTP).map(([name, run]) => ({
      name: `HTTP: ${name}`,
      port: httpPort,
      run,
    })),
  ];
  slow = Promise.all(clients.map(async ({ name, port, run }) => [name, await run(port)] as [string, number]));
});
afterAll(async () => {
  await service?.stop();
  await servers?.[Symbol.asyncDispose]();
});

const EMPTY = envelope(new Uint8Array());

/** Checks that ordinary calls succeed on both ports, and that there were no uncaught errors. */
async function lives(): Promise<void> {
  expect(await ask(grpcPort, grpc('ListFiles'), EMPTY)).toMatchObject({ outcome: '200 grpc 0' });
  expect(await ask(httpPort, json('ListFiles'), Buffer.from('{}'))).toMatchObject({ outcome: '200' });
  const metrics = await (await fetch(`${service.http}/metrics`)).text();
  expect(metrics).toContain('files_stray_errors_total 0');
}

const outcomes = async (answers: Promise<RawAnswer>[]) =>
  (await Promise.all(answers)).map(({ outcome }) => outcome);

it('survives invalid authorities: `a:99999`, `%`, `a[b`, `a:x`', async (context) => {
  const authorities = ['a:99999', '%', 'a[b', 'a:x'];
  const path = '/files.v1.FileService/ListFiles';
  const http1 = (port: number) =>
    authorities.map((host) =>
      tell(
        port,
        `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nX-User-Id: ada\r\nX-Gateway-Token: a-token-of-the-gateway\r\nContent-Length: 2\r\n\r\n{}`,
      ),
    );
  // With GATEWAY_AUTH=none only loopback names are accepted. With a token, connect-node builds a URL of the
  // authority.
  expect(await outcomes(http1(httpPort))).toEqual(['421', '421', '421', '421']);
  const environment = { GATEWAY_AUTH: 'token', GATEWAY_TOKENS: 'a-token-of-the-gateway' };
  await using behindGateway = await startTestService(environment);
  expect(await outcomes(http1(behindGateway.app.httpPort))).toEqual(['400', '400', '400', '400']);
  // Node's client would refuse to send these authorities.
  for (const port of [httpPort, grpcPort]) {
    for (const authority of authorities) {
      using raw = await openRawHttp2(port);
      const headers = headerBlock(grpcHeaders(path, { ':authority': authority }));
      raw.socket.write(frame(FRAME.headers, FLAG.endHeaders, 1, headers));
      raw.socket.write(frame(FRAME.data, FLAG.endStream, 1, EMPTY));
      await vi.waitFor(() =>
        expect(raw.received.has(FRAME.headers) || raw.received.has(FRAME.reset) || raw.socket.closed).toBe(
          true,
        ),
      );
    }
  }
  await lives();
  report(context, '400, or an answer where no authority is needed; lives', '12 requests');
});

it('answers odd targets, methods and lengths with a 4xx or closes the connection', async (context) => {
  const rpc = '/files.v1.FileService/ListFiles';
  const ordinary = `POST ${rpc} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-User-Id: ada\r\n`;
  const cases: [string, string[]][] = [
    ['POST // HTTP/1.1\r\nHost: localhost\r\n\r\n', ['404']],
    ['OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n', ['404']],
    [`GET http://a:99999${rpc} HTTP/1.1\r\nHost: localhost\r\n\r\n`, ['404']],
    ['CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n', ['closed']],
    [`OPTIONS ${rpc} HTTP/1.1\r\nHost: localhost\r\n\r\n`, ['405']],
    [
      `GET ${rpc} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n\r\n`,
      ['405', '415'],
    ],
    [`${ordinary}Expect: tea\r\nContent-Length: 2\r\n\r\n{}`, ['417']],
    [`GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, ['431']],
    [`${ordinary}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`, ['400']],
    [`${ordinary}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, ['400']],
    [`${ordinary}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`, ['400']],
    [`${ordinary}Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n`, ['400']],
    [`POST ${rpc} HTTP/1.1\r\n\r\n`, ['400']],
    [`${ordinary}A\0B: c\r\n\r\n`, ['400']],
    ['\r\n\r\n\0\0\0\r\n\r\n', ['400']],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nwhat? no settings?', ['closed']],
  ];
  for (const [text, expected] of cases) {
    const { outcome } = await tell(httpPort, text);
    expect(expected, text.slice(0, 200)).toContain(outcome);
  }
  await lives();
  report(context, 'a 4xx or a closed connection; lives', `${cases.length} requests`);
});

it('refuses unknown methods, unknown services and wrong content types', async (context) => {
  const asked = [
    ask(grpcPort, grpc('No'), EMPTY),
    ask(grpcPort, grpc('', { ':path': '/no.v1.No/No' }), EMPTY),
    ask(grpcPort, grpc('', { ':path': '*' }), EMPTY),
    ask(grpcPort, json('ListFiles'), Buffer.from('{}')),
    ask(grpcPort, grpc('ListFiles', { 'content-type': '' }), EMPTY),
    ask(httpPort, grpc('No'), EMPTY),
    ask(httpPort, json('', { ':path': '/no.v1.No/No' }), Buffer.from('{}')),
    ask(httpPort, json('ListFiles', { 'content-type': 'text/html' }), EMPTY),
    ask(httpPort, json('ListFiles', { ':method': 'GET' })),
  ];
  expect(await outcomes(asked)).toEqual([
    '200 grpc 12',
    '200 grpc 12',
    // `*` is not a valid path by RFC 9113, 8.3.1, so nghttp2 resets the stream.
    'reset 1',
    '415',
    '415',
    '404',
    '404',
    '415',
    '405',
  ]);
  await lives();
  report(context, 'UNIMPLEMENTED, 404, 405 or 415; lives', `${asked.length} requests`);
});

it('answers truncated, over-long and malformed messages with an error', async (context) => {
  const broken: [string, Uint8Array][] = [
    ['an empty body', Buffer.alloc(0)],
    ['half an envelope', Buffer.from([0, 0])],
    ['less than announced', envelope(Buffer.from('ab'), 0, 100)],
    ['a length of 4 GiB', envelope(Buffer.from('ab'), 0, 2 ** 32 - 1)],
    ['two messages', Buffer.concat([EMPTY, EMPTY])],
    ['unknown flags', envelope(Buffer.from('ab'), 0xff)],
    ['compressed without an encoding', envelope(Buffer.from('ab'), 1)],
    ['an invalid wire type', envelope(Buffer.from([0x07, 0xff]))],
    ['a string that is not UTF-8', envelope(Buffer.from([0x0a, 2, 0xc3, 0x28]))],
    ['a varint without an end', envelope(Buffer.alloc(20, 0xff))],
    ['groups in groups', envelope(Buffer.alloc(500_000, 0x7b))],
  ];
  const counts = new Map<string, number>();
  for (const [what, body] of broken) {
    for (const port of [grpcPort, httpPort]) {
      for (const type of ['application/grpc', 'application/grpc-web', 'application/proto']) {
        const answer = await ask(port, grpc('GetFile', { 'content-type': type }), body);
        // `nothing` would mean that the service still waits for the rest of a truncated message.
        expect(answer.outcome, `${what}, ${type}, ${port}`).not.toBe('nothing');
        expect(answer.text).not.toMatch(/node_modules|at \w+ \(|RangeError/);
        counts.set(answer.outcome, (counts.get(answer.outcome) ?? 0) + 1);
      }
    }
  }
  await lives();
  report(
    context,
    'an error for each; lives',
    [...counts].map(([outcome, n]) => `${n} × ${outcome}`).join(', '),
  );
});

it('refuses messages above 1 MiB', async (context) => {
  const message = Buffer.alloc(1024 * 1024 + 1);
  const asked = [
    ask(grpcPort, grpc('ListFiles'), envelope(message)),
    ask(httpPort, grpc('ListFiles', { 'content-type': 'application/grpc-web' }), envelope(message)),
    ask(httpPort, json('ListFiles'), Buffer.alloc(message.length, ' ')),
    ask(httpPort, json('ListFiles', { 'content-type': 'application/proto' }), message),
  ];
  // 429 is the HTTP status of Connect for RESOURCE_EXHAUSTED.
  expect(await outcomes(asked)).toEqual(['200 grpc 8', '200 grpc 8', '429', '429']);
  await lives();
  report(context, 'RESOURCE_EXHAUSTED; lives');
});

it('refuses twenty concurrent bombs of 64 MiB in 64 kB (gzip) or 60 bytes (brotli)', async (context) => {
  const zeros = Buffer.alloc(64 * 1024 * 1024);
  const [gzip, brotli] = [gzipSync(zeros), brotliCompressSync(zeros)];
  const [gz, br] = [envelope(gzip, 1), envelope(brotli, 1)];
  const kinds: (() => Promise<RawAnswer>)[] = [
    () => ask(grpcPort, grpc('ListFiles', { 'grpc-encoding': 'gzip' }), gz),
    () =>
      ask(httpPort, grpc('ListFiles', { 'grpc-encoding': 'br', 'content-type': 'application/grpc-web' }), br),
    () => ask(httpPort, json('ListFiles', { 'content-encoding': 'gzip' }), gzip),
    () => ask(httpPort, json('ListFiles', { 'content-encoding': 'br' }), brotli),
  ];
  const beforeMb = await residentMb(service.pid);
  const asked = Array.from({ length: 20 }, (_, index) => kinds[index % kinds.length]?.()).filter(
    (call) => call !== undefined,
  );
  let peakMb = beforeMb;
  const watch = setInterval(async () => {
    peakMb = Math.max(peakMb, await residentMb(service.pid));
  }, 10);
  const answers = new Set(await outcomes(asked));
  clearInterval(watch);
  expect([...answers].sort()).toEqual(['200 grpc 8', '429']);
  const grownMb = peakMb - beforeMb;
  expect(grownMb).toBeLessThan(200);
  await lives();
  report(context, 'RESOURCE_EXHAUSTED; lives', `+${grownMb.toFixed(0)} MB at the peak, of 1,342 MB`);
});

it('refuses headers of 20 kB, and 200 headers', async (context) => {
  const big = { 'x-big': 'a'.repeat(20_000) };
  const many = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`x-${index}`, 'a']));
  const asked: Promise<RawAnswer>[] = [];
  for (const further of [big, many]) {
    const lines = Object.entries(further).map(([name, value]) => `${name}: ${value}\r\n`);
    asked.push(tell(httpPort, `GET /livez HTTP/1.1\r\nHost: localhost\r\n${lines.join('')}\r\n`));
    for (const port of [grpcPort, httpPort]) {
      using raw = await openRawHttp2(port);
      const block = headerBlock(grpcHeaders('/files.v1.FileService/ListFiles', further));
      // Two frames, because a frame has at most 16 kB.
      raw.socket.write(frame(FRAME.headers, FLAG.none, 1, block.subarray(0, 16_000)));
      raw.socket.write(frame(FRAME.continuation, FLAG.endHeaders, 1, block.subarray(16_000)));
      await vi.waitFor(() => expect(raw.received.has(FRAME.reset) || raw.socket.closed).toBe(true));
      expect(raw.received.has(FRAME.headers)).toBe(false);
    }
  }
  expect(await outcomes(asked)).toEqual(['431', '431']);
  await lives();
  report(context, '431, or a stream that is reset; lives');
});

const path = '/files.v1.FileService/ListFiles';
const begun = (streamId: number) =>
  frame(FRAME.headers, FLAG.endHeaders, streamId, headerBlock(grpcHeaders(path)));

it('refuses streams above 1,000 of 5,000 pending streams on one connection', async (context) => {
  for (const port of [grpcPort, httpPort]) {
    using raw = await openRawHttp2(port);
    const streams = Array.from({ length: 5_000 }, (_, index) => begun(2 * index + 1));
    raw.socket.write(Buffer.concat(streams));
    await vi.waitFor(
      () => expect((raw.received.get(FRAME.reset) ?? 0) === 4_000 || raw.socket.closed).toBe(true),
      { timeout: 10_000 },
    );
    await lives();
  }
  report(context, 'streams above 1,000 are refused, or the connection is closed; lives', 'on each port');
});

it('closes a connection that resets 10,000 streams', async (context) => {
  const cancel = Buffer.from([0, 0, 0, 8]);
  for (const port of [grpcPort, httpPort]) {
    using raw = await openRawHttp2(port);
    for (let sent = 0; sent < 10_000 && !raw.socket.destroyed; sent += 100) {
      const some = Array.from({ length: 100 }, (_, index) => {
        const streamId = 2 * (sent + index) + 1;
        return Buffer.concat([begun(streamId), frame(FRAME.reset, FLAG.none, streamId, cancel)]);
      });
      raw.socket.write(Buffer.concat(some));
      await sleep(1);
    }
    await vi.waitFor(() => expect(raw.socket.closed).toBe(true), { timeout: 30_000 });
    await lives();
  }
  report(context, 'the connection is closed; lives', 'on each port');
});

it('ends the stream or the connection of slow clients', async (context) => {
  const times = await slow;
  const longest = Math.max(...times.map(([, ms]) => ms));
  for (const [name, ms] of times) {
    expect(ms, name).toBeGreaterThan(4_500);
    // An unread answer may take twice the limit, and more on a busy machine. Limits for idle connections
    // begin at 60 s, so they did not end these clients.
    expect(ms, name).toBeLessThan(30_000);
  }
  await lives();
  report(
    context,
    'the stream is reset, or the connection closed; lives',
    `${times.length} kinds, the longest ${(longest / 1_000).toFixed(1)} s`,
  );
});

const listSpans = (traceId: string) => service.log().filter((line) => line.traceId === traceId);
const traced = (traceId: string) => ({ traceparent: `00-${traceId}-b7ad6b7169203331-01` });

it('makes no query for a call whose deadline has passed', async (context) => {
  const [control, spent] = ['c'.repeat(32), '5'.repeat(32)];
  await ask(grpcPort, grpc('ListFiles', traced(control)), EMPTY);
  const headers = { ...traced(spent), 'grpc-timeout': '0m' };
  const web = { ...headers, 'content-type': 'application/grpc-web' };
  const asked = [
    ask(grpcPort, grpc('ListFiles', headers), EMPTY),
    ask(httpPort, grpc('ListFiles', web), EMPTY),
    ask(httpPort, json('ListFiles', { ...traced(spent), 'connect-timeout-ms': '0' }), Buffer.from('{}')),
  ];
  expect(await outcomes(asked)).toEqual(['200 grpc 4', '200 grpc 4', '504']);
  // The control call has a span for itself and a span for its query, so a query of the other calls would be
  // seen.
  await vi.waitFor(() => expect(listSpans(control).length).toBeGreaterThan(1));
  expect(listSpans(spent)).toEqual([]);
  await lives();
  report(context, 'DEADLINE_EXCEEDED, and no query');
});

it('shortens deadlines far in the future, and refuses malformed deadlines', async (context) => {
  const list = (value: string) => ask(grpcPort, grpc('ListFiles', { 'grpc-timeout': value }), EMPTY);
  const web = (value: string) => {
    const headers = { 'grpc-timeout': value, 'content-type': 'application/grpc-web' };
    return ask(httpPort, grpc('ListFiles', headers), EMPTY);
  };
  const connect = (value: string) =>
    ask(httpPort, json('ListFiles', { 'connect-timeout-ms': value }), Buffer.from('{}'));
  const far = [list('99999999H'), list('00596524H'), web('99999999H'), connect('9999999999')];
  expect(await outcomes(far)).toEqual(['200 grpc 0', '200 grpc 0', '200 grpc 0', '200']);
  const unreadable = [list('soon'), list('-1S'), web('soon'), connect('soon')];
  expect(await outcomes(unreadable)).toEqual(['200 grpc 3', '200 grpc 3', '200 grpc 3', '400']);
  report(context, 'far deadlines are shortened to the maximum; INVALID_ARGUMENT for malformed deadlines');
});

/** Half of the streams that a connection may reset at once. */
const CANCELS_PER_CONNECTION = STREAMS_PER_CONNECTION_MAX / 2;

it('releases all resources of calls that their clients cancel', async (context) => {
  const attempts = LONG ? 2_000 : 200;
  const user = { 'x-user-id': 'impatient' };
  const body = (index: number) =>
    Buffer.from(
      JSON.stringify({
        filename: `${index % 20}.txt`,
        mimeType: 'text/plain',
        md5: `${index % 20}`.padStart(32, '0'),
      }),
    );
  // More cancellations on one connection would count as an attack, and the service would close the
  // connection.
  const length = Math.ceil(attempts / CANCELS_PER_CONNECTION);
  const sessions = Array.from({ length }, () => connectHttp2(service.http));
  for (let index = 0; index < attempts; index++) {
    const session = sessions[index % sessions.length] as ClientHttp2Session;
    const stream = session.request({ ':method': 'POST', ...json('CreatePresignedUpload', user) });
    stream.on('error', () => {}).end(body(index));
    // Cancels at different moments: before, during and after the query.
    setTimeout(() => stream.close(), index % 10);
    if (index % 10 === 9) await sleep(5);
  }
  await sleep(100);
  expect(sessions.filter(({ closed }) => closed)).toEqual([]);
  for (const session of sessions) session.destroy();
  await vi.waitFor(async () => {
    const metrics = await (await fetch(`${service.http}/metrics`)).text();
    expect(metrics).toContain('files_calls_under_way 0');
    expect(metrics).toContain('files_postgres_connections{state="busy"} 0');
    expect(metrics).toContain('files_postgres_connections{state="waiting"} 0');
  }, 10_000);
  const answers: RawAnswer[] = [];
  for (let index = 0; index < 20; index++)
    answers.push(await ask(httpPort, json('CreatePresignedUpload', user), body(index)));
  const keys = answers.map(({ text }) => JSON.parse(text).s3Key);
  // Each file has one row, although it was created many times.
  expect(keys.sort()).toEqual(Array.from({ length: 20 }, (_, index) => `impatient_${index}.txt`).sort());
  await lives();
  report(
    context,
    'all places and connections are free; a repeated create returns the same file',
    `${attempts} cancelled`,
  );
});

it('closes the connection of clients that end their half', async (context) => {
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const settings = Buffer.concat([preface, frame(FRAME.settings, 0, 0, Buffer.alloc(0))]);
  const sent = ['', 'P', 'GET /livez HTTP/1.1\r\n', preface, settings, settings.subarray(0, -3)];
  const hangUps = [grpcPort, httpPort].flatMap((port) =>
    sent.map(async (bytes) => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {});
      await once(socket, 'connect');
      socket.resume().end(bytes);
      // The service closes the connection at once, and does not wait for the idle time-out.
      await once(socket, 'close', { signal: AbortSignal.timeout(2_000) });
    }),
  );
  await Promise.all(hangUps);
  report(context, 'the service closes the connection within 2 s', `${hangUps.length} connections`);
});

it('serves new connections beside 1,200 silent connections on each port', async (context) => {
  const sockets: Socket[] = [];
  let closed = 0;
  try {
    for (const port of [grpcPort, httpPort]) {
      closed = 0;
      const these = Array.from({ length: 1_200 }, () => connect(port, '127.0.0.1'));
      sockets.push(...these);
      for (const socket of these)
        socket
          .resume()
          .on('error', () => {})
          .on('close', () => closed++);
      await Promise.all(these.map((socket) => once(socket, 'connect')));
      // New connections are served.
      await lives();
      await vi.waitFor(() => expect(closed).toBeGreaterThanOrEqual(200), { timeout: 3_000 });
    }
    report(
      context,
      'the oldest silent connections are closed; new connections are served',
      `${closed} of 1,200 closed`,
    );
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});

const RPC = '/files.v1.FileService/ListFiles';
const PIPELINED = {
  'GET /livez': 'GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'a call without a user': `POST ${RPC} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
  'an unknown path': 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
};

/** The size of one read of Node from a connection. */
const READ_BYTES = 64 * 1024;

it('closes a connection that pipelines 64 KiB of requests', async (context) => {
  for (const [what, text] of Object.entries(PIPELINED)) {
    const socket = connect(httpPort, '127.0.0.1').on('error', () => {});
    let answers = '';
    socket.setEncoding('latin1').on('data', (part) => {
      answers += part;
    });
    await once(socket, 'connect');
    socket.write(text.repeat(Math.floor(READ_BYTES / text.length)));
    await once(socket, 'close');
    expect(answers.split('HTTP/1.1 ').length - 1, what).toBeLessThanOrEqual(PIPELINED_REQUESTS_MAX);
  }
  await lives();
  report(context, `the connection is closed after ${PIPELINED_REQUESTS_MAX} open requests; lives`);
});

it('answers eight pipelined requests in order', async () => {
  const socket = connect(httpPort, '127.0.0.1');
  let answers = '';
  socket.setEncoding('latin1').on('data', (part) => {
    answers += part;
  });
  const statuses = () => answers.match(/(?<=HTTP\/1\.1 )\d+/g)?.map(Number);
  socket.write((PIPELINED['GET /livez'] + PIPELINED['an unknown path']).repeat(4));
  await vi.waitFor(() => expect(statuses()).toEqual([200, 404, 200, 404, 200, 404, 200, 404]));
  socket.destroy();
});

it('releases all places of pipelined calls whose client disconnects at any moment', async (context) => {
  const call = PIPELINED['a call without a user'].replace('Host:', 'X-User-Id: ada\r\nHost:');
  for (let turn = 0; turn < 200; turn++) {
    const socket = connect(httpPort, '127.0.0.1').on('error', () => {});
    await once(socket, 'connect');
    socket.write(call.repeat(5));
    await sleep(turn % 8);
    socket.destroy();
  }
  const metrics = async () => (await fetch(`${service.http}/metrics`)).text();
  await vi.waitFor(async () => expect(await metrics()).toContain('files_calls_under_way 0'), 10_000);
  await lives();
  report(context, 'no place is lost, no error is uncaught; lives', '200 × 5 calls');
});

it('aborts the oldest of too many unread answers to requests without proof', async (context) => {
  const asked: [string, number, Record<string, string>][] = [
    ['HTTP', httpPort, { ':path': '/metrics' }],
    [
      'gRPC',
      grpcPort,
      {
        ':method': 'POST',
        ':path': '/grpc.health.v1.Health/Check',
        'content-type': 'application/grpc',
        te: 'trailers',
      },
    ],
  ];
  const beyond = 300;
  for (const [port, at, headers] of asked) {
    const sessions = Array.from({ length: 4 }, () =>
      connectHttp2(`http://127.0.0.1:${at}`, { settings: { initialWindowSize: 0 } }).on('error', () => {}),
    );
    let aborted = 0;
    for (let sent = 0; sent < UNPROVEN_REQUESTS_MAX + beyond; sent++) {
      const stream = sessions[sent % sessions.length]?.request(headers, { endStream: false });
      stream?.on('error', () => {}).once('close', () => aborted++);
      stream?.end(headers[':method'] === 'POST' ? EMPTY : undefined);
      if (sent % 50 === 0) await sleep(1);
    }
    // The time is shorter than the limit for unread answers, so only the limit of requests can end them.
    await vi.waitFor(() => expect(aborted, port).toBeGreaterThanOrEqual(beyond), { timeout: 2_000 });
    for (const session of sessions) session.destroy();
  }
  await lives();
  report(context, `of more than ${UNPROVEN_REQUESTS_MAX}, the oldest are aborted; lives`);
});

it('accepts messages of other users beside 120 endless messages of one user', async (context) => {
  const session = connectHttp2(`http://127.0.0.1:${grpcPort}`).on('error', () => {});
  const message = envelope(Buffer.alloc(180_000));
  for (let sent = 0; sent < 120; sent++) {
    const stream = session.request({ ':method': 'POST', ...grpc('CreateMultipartUpload') });
    stream.on('error', () => {}).resume();
    stream.write(message.subarray(0, -1));
  }
  await sleep(1_000);
  // The padding makes a message too large for the rest of a budget that a single user has exhausted.
  const padding = Buffer.concat([Buffer.from([0x7a, 0xe0, 0x5d]), Buffer.alloc(12_000)]);
  const others = Array.from({ length: 20 }, (_, index) =>
    ask(grpcPort, grpc('ListFiles', { 'x-user-id': `eve-${index}` }), envelope(padding)),
  );
  expect(await outcomes(others)).toEqual(others.map(() => '200 grpc 0'));
  session.destroy();
  await lives();
  report(context, 'messages of other users are accepted; lives');
});
