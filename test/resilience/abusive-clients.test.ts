import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import {
  PIPELINED_REQUESTS_MAX,
  STREAMS_PER_CONNECTION_MAX,
  UNPROVEN_REQUESTS_MAX,
} from '../../src/rpc/limits/limits.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { LONG } from '../harness/long-form.ts';
import { total } from '../harness/metrics.ts';
import { startServiceWithServers } from '../harness/service-with-servers.ts';
import { waitFor } from '../harness/wait-for.ts';
import { expectAlive } from './alive.ts';
import { envelope, FLAG, FRAME, frame, grpcHeaders, headerBlock, openRawHttp2 } from './http2-frames.ts';
import { report } from './outcome.ts';
import { ask, grpc, json, outcomes, type RawAnswer } from './raw-calls.ts';

vi.setConfig({ testTimeout: 60_000 });

const service = forAllTests(() => startServiceWithServers());
let grpcPort: number;
let httpPort: number;
beforeAll(() => {
  ({ gRPC: grpcPort, HTTP: httpPort } = service.ports);
});
afterAll(() => service.stop());

const EMPTY = envelope(new Uint8Array());
const lives = () => expectAlive(service);

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
    expect(await total(service.http, 'files_calls_under_way')).toBe(0);
    for (const state of ['busy', 'waiting'])
      expect(await total(service.http, 'files_postgres_connections', { state })).toBe(0);
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
      // A busy machine may accept the last of the 1,200 connections only after some seconds.
      await vi.waitFor(() => expect(closed).toBeGreaterThanOrEqual(200), { timeout: 10_000 });
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
  'an unknown expectation': 'GET / HTTP/1.1\r\nHost: localhost\r\nExpect: tea\r\n\r\n',
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
  await waitFor(() => expect(statuses()).toEqual([200, 404, 200, 404, 200, 404, 200, 404]));
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
  await vi.waitFor(async () => expect(await total(service.http, 'files_calls_under_way')).toBe(0), 10_000);
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
    // The whole connection of the oldest request is closed, because no call on it was accepted.
    await waitFor(() => expect(sessions.some(({ destroyed }) => destroyed)).toBe(true));
    expect(sessions.every(({ destroyed }) => destroyed)).toBe(false);
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
