import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { STREAMS_PER_CONNECTION_MAX } from '../../src/rpc/limits/limits.ts';
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
import type { Port } from './methods.ts';
import { callOn } from './ordinary-call.ts';
import { keepService, type ProbedService, type ServiceKeeper } from './service.ts';

vi.setConfig({ testTimeout: 60_000 });

/** The number of connections that a port accepts. */
const STRANGERS = 1_000;
/** Connections that are opened at once. The operating system's accept queue is short. */
const AT_ONCE = 100;
const WATCHES = 20_000;
/** A fifth of the heap that `npm start` sets. */
const GROWTH_MAX_MB = 100;
const NEW_CONNECTIONS = 5;

const LIST = '/files.v1.FileService/ListFiles';

let keeper: ServiceKeeper;
let service: ProbedService;
beforeAll(async () => {
  keeper = await keepService();
  service = await keeper.alive();
});
afterAll(() => keeper?.[Symbol.asyncDispose]());

/** Calls on five new connections to each port, as a gateway that connects now would make. */
async function newConnections(): Promise<Record<Port, string[]>> {
  const calls = async (port: Port) => {
    const codes: string[] = [];
    for (let call = 0; call < NEW_CONNECTIONS; call++) {
      codes.push(await callOn(port, service.ports));
      await sleep(10);
    }
    return codes;
  };
  return { gRPC: await calls('gRPC'), HTTP: await calls('HTTP') };
}

const served = Array.from({ length: NEW_CONNECTIONS }, () => 'OK');
const ALL_SERVED = { gRPC: served, HTTP: served };

it('new connections are served beside 1,000 open connections without proof on each port', async () => {
  const strangers: Disposable[] = [];
  try {
    for (let opened = 0; opened < STRANGERS; opened += AT_ONCE) {
      const some = Array.from({ length: AT_ONCE }, async (_, index) => {
        strangers.push(await refusedOverGrpc(service.ports.gRPC));
        strangers.push(await (index % 2 === 0 ? refusedOverHttp : askedForLivez)(service.ports.HTTP));
      });
      await Promise.all(some);
    }
    expect(strangers).toHaveLength(2 * STRANGERS);
    expect(await newConnections()).toEqual(ALL_SERVED);
  } finally {
    for (const stranger of strangers) stranger[Symbol.dispose]();
  }
});

it('new connections are served beside 20,000 health watches', async () => {
  const path = '/grpc.health.v1.Health/Watch';
  const headers = headerBlock(grpcHeaders(path));
  const streams = Array.from({ length: STREAMS_PER_CONNECTION_MAX }, (_, index) => {
    const streamId = 2 * index + 1;
    const begin = frame(FRAME.headers, FLAG.endHeaders, streamId, headers);
    return Buffer.concat([begin, frame(FRAME.data, FLAG.endStream, streamId, envelope(new Uint8Array()))]);
  });
  const all = Buffer.concat(streams);
  const beforeMb = await residentMb(service.process.pid);
  const watchers: Awaited<ReturnType<typeof openRawHttp2>>[] = [];
  try {
    for (let watches = 0; watches < WATCHES; watches += STREAMS_PER_CONNECTION_MAX) {
      const watcher = await openRawHttp2(service.ports.gRPC);
      watchers.push(watcher);
      watcher.socket.write(all);
      // Each watch is answered or refused, or the connection is closed.
      await vi.waitFor(
        () => {
          const of = (type: number) => watcher.received.get(type) ?? 0;
          expect(
            watcher.socket.destroyed || of(FRAME.headers) + of(FRAME.reset) >= STREAMS_PER_CONNECTION_MAX,
          ).toBe(true);
        },
        { timeout: 10_000 },
      );
    }
    expect(await newConnections()).toEqual(ALL_SERVED);
    expect((await residentMb(service.process.pid)) - beforeMb).toBeLessThan(GROWTH_MAX_MB);
  } finally {
    for (const watcher of watchers) watcher[Symbol.dispose]();
  }
});

/** Opens a connection whose call is answered with UNAUTHENTICATED, and keeps the connection open. */
async function refusedOverGrpc(port: number): Promise<Disposable> {
  const raw = await openRawHttp2(port);
  raw.socket.write(frame(FRAME.headers, FLAG.endHeaders, 1, headerBlock(grpcHeaders(LIST))));
  raw.socket.write(frame(FRAME.data, FLAG.endStream, 1, envelope(new Uint8Array())));
  await vi.waitFor(() => expect(raw.received.has(FRAME.headers) || raw.socket.destroyed).toBe(true), {
    timeout: 5_000,
    interval: 20,
  });
  return raw;
}

const refusedOverHttp = (port: number) =>
  asked(
    port,
    `POST ${LIST} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
  );

const askedForLivez = (port: number) => asked(port, 'GET /livez HTTP/1.1\r\nHost: a\r\n\r\n');

async function asked(port: number, text: string): Promise<Disposable> {
  const socket: Socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  const closed = once(socket, 'close');
  const answered = once(socket, 'data');
  socket.write(text);
  await Promise.race([answered, closed]);
  socket.resume();
  return { [Symbol.dispose]: () => void socket.destroy() };
}
