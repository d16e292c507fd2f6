import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { residentMb } from '../harness/resident-memory.ts';
import {
  envelope,
  FLAG,
  FRAME,
  frame,
  grpcHeaders,
  headerBlock,
  openRawHttp2,
} from '../resilience/http2-frames.ts';
import { callOn, growHeap } from './ordinary-call.ts';
import { ORIGIN } from './refusals.ts';
import { keepService, type ProbedService, type ServiceKeeper } from './service.ts';

vi.setConfig({ testTimeout: 60_000 });

/** A fifth of the heap that `npm start` sets. */
const GROWTH_MAX_MB = 100;
const SAMPLE_INTERVAL_MS = 20;
/** The size of one read of Node from a connection. */
const READ_BYTES = 64 * 1024;
/** The service accepts this many streams on a new connection until the client has received a lower limit. */
const STREAMS = 1_000;

let keeper: ServiceKeeper;
beforeAll(async () => {
  keeper = await keepService({ CORS_ALLOWED_ORIGINS: ORIGIN });
  await growHeap((await keeper.alive()).ports);
});
afterAll(() => keeper?.[Symbol.asyncDispose]());

type Ports = ProbedService['ports'];

/** Clients that are no gateways. All of their connections send at once as much as Node reads from one at a time. */
const FLOODS: Record<string, (ports: Ports) => Promise<Socket[]>> = {
  '300 connections with 64 KiB of HTTP/1.1 requests': ({ HTTP }) =>
    flood(300, () => plain(HTTP), [repeated('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n')]),
  '300 connections with 64 KiB of requests without a Host': ({ HTTP }) =>
    flood(300, () => plain(HTTP), [repeated('GET / HTTP/1.1\r\n\r\n')]),
  '60 connections with 1,000 requests for /livez over HTTP/2': ({ HTTP }) =>
    flood(60, () => http2(HTTP), [begun({ ...PAGE, ':path': '/livez' })]),
  '60 connections with 1,000 CONNECT requests over HTTP/2': ({ HTTP }) =>
    flood(60, () => http2(HTTP), [begun({ ':method': 'CONNECT', ':authority': 'a:1' })]),
  '60 connections with 1,000 unknown expectations over HTTP/2': ({ HTTP }) =>
    flood(60, () => http2(HTTP), [begun({ ...PAGE, expect: 'tea' })]),
  '300 connections with 1,000 whole health checks over gRPC': ({ gRPC }) =>
    flood(300, () => http2(gRPC), [whole(CHECK, EMPTY, STREAMS)]),
  '300 connections with 100 whole health checks over gRPC-Web as text': ({ HTTP }) =>
    flood(300, () => http2(HTTP), [whole(TEXT_CHECK, Buffer.from(EMPTY.toString('base64')), 100)]),
  '100 connections with 100 whole and compressed health checks over gRPC': ({ HTTP }) =>
    flood(100, () => http2(HTTP), [whole(COMPRESSED_CHECK, envelope(gzipSync(Buffer.alloc(0)), 1), 100)]),
  '300 connections with 100 streams of reflection': ({ HTTP }) =>
    flood(300, () => http2(HTTP), [whole(REFLECTION, LIST_SERVICES, 100)]),
  '300 connections with 100 requests for /metrics over HTTP/2': ({ HTTP }) =>
    flood(300, () => http2(HTTP), [begun({ ...PAGE, ':path': '/metrics' }, 100)]),
  '300 connections with 100 preflights over HTTP/2': ({ HTTP }) =>
    flood(300, () => http2(HTTP), [begun(PREFLIGHT, 100)]),
  '1,000 health checks whose bytes arrive one per read of 64 KiB': ({ gRPC }) =>
    flood(10, () => http2(gRPC), [begun(CHECK, 100), ...bytesPerRead(100, 4)]),
};

const PAGE = { ':method': 'GET', ':scheme': 'http', ':path': '/', ':authority': 'localhost' };
const CHECK = Object.fromEntries(grpcHeaders('/grpc.health.v1.Health/Check'));
const TEXT_CHECK = { ...CHECK, 'content-type': 'application/grpc-web-text' };
const PREFLIGHT = {
  ...PAGE,
  ':method': 'OPTIONS',
  ':path': '/files.v1.FileService/ListFiles',
  origin: ORIGIN,
  'access-control-request-method': 'POST',
};
const REFLECTION = Object.fromEntries(
  grpcHeaders('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo'),
);
/** The question for the names of all services: an empty text in field 7. */
const LIST_SERVICES = envelope(Buffer.from([0x3a, 0]));
const COMPRESSED_CHECK = { ...CHECK, 'grpc-encoding': 'gzip' };
const EMPTY = envelope(Buffer.alloc(0));

describe('strangers take less than 100 MB and do not end the process', () => {
  it.for(Object.entries(FLOODS))('%s', async ([, send]) => {
    const { process, ports } = await keeper.alive();
    const startMb = await residentMb(process.pid);
    let peakMb = startMb;
    const sampling = setInterval(async () => {
      peakMb = Math.max(peakMb, await residentMb(process.pid).catch(() => Number.POSITIVE_INFINITY));
    }, SAMPLE_INTERVAL_MS);
    const sockets = await send(ports);
    try {
      const calls = async () => [await callOn('gRPC', ports), await callOn('HTTP', ports)];
      // On a busy machine the service needs some seconds for a flood.
      await vi.waitFor(async () => expect(await calls()).toEqual(['OK', 'OK']), { timeout: 30_000 });
      expect(peakMb - startMb).toBeLessThan(GROWTH_MAX_MB);
    } finally {
      clearInterval(sampling);
      for (const socket of sockets) socket.destroy();
      if (peakMb - startMb >= GROWTH_MAX_MB) await keeper.end();
    }
  });
});

/** Opens all connections first, and then sends the packets on all of them. Resolves when all bytes are sent. */
async function flood(connections: number, open: () => Promise<Socket>, packets: Buffer[]): Promise<Socket[]> {
  const sockets = await Promise.all(Array.from({ length: connections }, open));
  for (const packet of packets) {
    for (const socket of sockets) socket.write(packet);
    while (sockets.some(({ writableLength, destroyed }) => writableLength > 0 && !destroyed)) await sleep(1);
  }
  return sockets;
}

async function plain(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  await once(socket, 'connect');
  return socket.resume();
}

async function http2(port: number): Promise<Socket> {
  return (await openRawHttp2(port)).socket;
}

function repeated(text: string): Buffer {
  return Buffer.from(text.repeat(Math.floor(READ_BYTES / text.length)));
}

function whole(headers: Record<string, string>, body: Buffer, streams: number): Buffer {
  const block = headerBlock(Object.entries(headers));
  const requests = Array.from({ length: streams }, (_, index) => [
    frame(FRAME.headers, FLAG.endHeaders, 2 * index + 1, block),
    frame(FRAME.data, FLAG.endStream, 2 * index + 1, body),
  ]);
  return Buffer.concat(requests.flat());
}

/** Requests that have begun and do not end. */
function begun(headers: Record<string, string>, streams = STREAMS): Buffer {
  const block = headerBlock(Object.entries(headers));
  return Buffer.concat(
    Array.from({ length: streams }, (_, index) =>
      frame(FRAME.headers, FLAG.endHeaders, 2 * index + 1, block),
    ),
  );
}

/**
 * Packets with one byte of one stream each, several for each stream. The rest of a packet are frames that HTTP/2
 * ignores, so that Node needs one read for each byte.
 */
function bytesPerRead(streams: number, rounds: number): Buffer[] {
  const UNKNOWN_TYPE = 0xfe;
  const ignored = Array.from({ length: READ_BYTES / 8_192 }, () =>
    frame(UNKNOWN_TYPE, FLAG.none, 0, Buffer.alloc(8_192)),
  );
  return Array.from({ length: rounds * streams }, (_, index) =>
    Buffer.concat([frame(FRAME.data, FLAG.none, 2 * (index % streams) + 1, Buffer.alloc(1)), ...ignored]),
  );
}
