import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { residentMb } from '../harness/resident-memory.ts';
import { startTestService } from '../harness/service.ts';
import { startServiceWithServers } from '../harness/service-with-servers.ts';
import { waitFor } from '../harness/wait-for.ts';
import { expectAlive } from './alive.ts';
import { envelope, FLAG, FRAME, frame, grpcHeaders, headerBlock, openRawHttp2 } from './http2-frames.ts';
import { report } from './outcome.ts';
import { ask, grpc, json, outcomes, type RawAnswer, tell } from './raw-calls.ts';

vi.setConfig({ testTimeout: 60_000 });

/** Prints a span for each call and each query, so that a test can check what a call did. */
const SDK = pathToFileURL(join(import.meta.dirname, '../e2e/print-spans.ts')).href;

const service = forAllTests(() =>
  startServiceWithServers({ environment: { NODE_OPTIONS: `--import=${SDK}` } }),
);
let grpcPort: number;
let httpPort: number;
beforeAll(() => {
  ({ gRPC: grpcPort, HTTP: httpPort } = service.ports);
});
afterAll(() => service.stop());

const EMPTY = envelope(new Uint8Array());
const lives = () => expectAlive(service);

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
      await waitFor(() =>
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
    ask(httpPort, json('', { ':path': '/no', 'content-type': 'text/html' }), Buffer.from('{}')),
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
    '200 grpc 12',
    // 501 is the HTTP status of Connect for UNIMPLEMENTED.
    '501',
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
      await waitFor(() => expect(raw.received.has(FRAME.reset) || raw.socket.closed).toBe(true));
      expect(raw.received.has(FRAME.headers)).toBe(false);
    }
  }
  expect(await outcomes(asked)).toEqual(['431', '431']);
  await lives();
  report(context, '431, or a stream that is reset; lives');
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
  await waitFor(() => expect(listSpans(control).length).toBeGreaterThan(1));
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
