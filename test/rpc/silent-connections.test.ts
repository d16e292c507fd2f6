import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServiceImpl } from '@connectrpc/connect';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { createSharedCapacity } from '../../src/overload/shared-capacity.ts';
import type { AdmittedCall } from '../../src/rpc/admitted-call.ts';
import { createGrpcServer } from '../../src/rpc/grpc/server.ts';
import { createHealth } from '../../src/rpc/health.ts';
import { createHttp1AndHttp2Server } from '../../src/rpc/http/http1-and-http2.ts';
import { createDecodeTurns } from '../../src/rpc/limits/decode-turns.ts';
import { IDLE_TIMEOUT_MS, PING_INTERVAL_MS, PING_TIMEOUT_MS } from '../../src/rpc/limits/limits.ts';
import { MESSAGE_PREFIX_BYTES, MESSAGES_MAX_BYTES } from '../../src/rpc/limits/message-limits.ts';
import { FRAME, openRawHttp2 } from '../resilience/http2-frames.ts';

// The tests skip minutes of silence with fake timers. Sockets still need real time.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }));
afterEach(() => void vi.useRealTimers());

async function listenGrpc(): Promise<number> {
  const server = createGrpcServer({
    takeDecodeTurn: createDecodeTurns(),
    fileService: { deleteFile: async () => ({}) } as unknown as ServiceImpl<typeof FileService>,
    gate: { admit: ({ caller }) => ({ caller, userId: 'u' }) as AdmittedCall },
    budget: createSharedCapacity(MESSAGES_MAX_BYTES),
    health: createHealth(),
  });
  onTestFinished(async () => {
    vi.useRealTimers();
    await server.stop(0);
  });
  return server.listen('127.0.0.1', 0);
}

async function listenHttp(): Promise<number> {
  const { server, destroyConnections } = createHttp1AndHttp2Server((_, response) => response.end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    destroyConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** A client that opens an HTTP/2 connection and then sends nothing, not even answers to pings. */
async function openSilent(port: number) {
  const client = await openRawHttp2(port);
  onTestFinished(() => client[Symbol.dispose]());
  let isClosed = false;
  void client.closed.then(() => {
    isClosed = true;
  });
  await settled();
  return { received: client.received, isClosed: () => isClosed };
}

/** @returns the status of the call */
async function deleteFile(client: ClientHttp2Session): Promise<unknown> {
  const path = '/files.v1.FileService/DeleteFile';
  const stream = client.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc' });
  stream.resume().end(Buffer.alloc(MESSAGE_PREFIX_BYTES));
  const [trailers] = await once(stream, 'trailers');
  await once(stream, 'close');
  return trailers['grpc-status'];
}

/** Waits until the sent frames have arrived and were answered. */
const settled = () => sleep(100);

describe('a silent connection', () => {
  it('on the gRPC port is pinged, and closed if it does not answer the ping', async () => {
    const client = await openSilent(await listenGrpc());
    vi.advanceTimersByTime(PING_INTERVAL_MS - 1);
    await settled();
    expect(client.received.get(FRAME.ping)).toBeUndefined();
    vi.advanceTimersByTime(1);
    await expect.poll(() => client.received.get(FRAME.ping)).toBe(1);
    expect(client.isClosed()).toBe(false);
    vi.advanceTimersByTime(PING_TIMEOUT_MS);
    await expect.poll(client.isClosed).toBe(true);
  });

  it('on the gRPC port is closed after IDLE_TIMEOUT_MS without a call, even if it answers pings', async () => {
    const client = connect(`http://127.0.0.1:${await listenGrpc()}`).on('error', () => {});
    onTestFinished(() => client.destroy());
    await once(client, 'remoteSettings');
    await settled();
    for (let ms = PING_INTERVAL_MS; ms < IDLE_TIMEOUT_MS; ms += PING_INTERVAL_MS) {
      vi.advanceTimersByTime(PING_INTERVAL_MS);
      await settled();
    }
    expect(client.closed).toBe(false);
    vi.advanceTimersByTime(PING_INTERVAL_MS);
    await expect.poll(() => client.closed).toBe(true);
  });

  it('on the gRPC port is closed IDLE_TIMEOUT_MS after its last call, and not earlier', async () => {
    const client = connect(`http://127.0.0.1:${await listenGrpc()}`).on('error', () => {});
    onTestFinished(() => client.destroy());
    await once(client, 'remoteSettings');
    await settled();
    const pass = async (untilMs: number) => {
      for (let ms = 0; ms < untilMs; ms += PING_INTERVAL_MS) {
        vi.advanceTimersByTime(PING_INTERVAL_MS);
        await settled();
      }
    };
    await pass(IDLE_TIMEOUT_MS / 2);
    expect(await deleteFile(client)).toBe('0');
    await pass(IDLE_TIMEOUT_MS - PING_INTERVAL_MS);
    expect(client.closed).toBe(false);
    await pass(2 * PING_INTERVAL_MS);
    await expect.poll(() => client.closed).toBe(true);
  });

  it('over HTTP/2 on the HTTP port is closed after IDLE_TIMEOUT_MS without a call', async () => {
    const client = await openSilent(await listenHttp());
    vi.advanceTimersByTime(IDLE_TIMEOUT_MS - 1);
    await settled();
    expect(client.isClosed()).toBe(false);
    vi.advanceTimersByTime(1);
    await expect.poll(client.isClosed).toBe(true);
  });
});
