import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
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
import { gateway } from './service.ts';

const PATH = '/files.v1.FileService/GetFile';
/** A message below every limit. */
const MESSAGE_BYTES = 15 * 1024;
/** Three such messages are less than the window of a new HTTP/2 connection (65,535 bytes). */
const STREAMS_PER_CONNECTION = 3;
const CONNECTIONS = 8;

interface Sent {
  readonly sentBytes: number;
  close(): void;
}

/** Clients that send each byte of a message in a separate frame or chunk, and never end the request. */
export const PER_BYTE_CLIENTS: Record<string, (ports: Record<Port, number>) => Promise<Sent>> = {
  'DATA frames to the gRPC port': ({ gRPC }) => frames(gRPC),
  'DATA frames to the HTTP port': ({ HTTP }) => frames(HTTP),
  'chunks of HTTP/1.1': ({ HTTP }) => chunks(HTTP),
};

async function frames(port: number): Promise<Sent> {
  const message = envelope(Buffer.alloc(MESSAGE_BYTES, 0x20));
  const headers = headerBlock(grpcHeaders(PATH, gateway('ada')));
  const streams = Array.from({ length: STREAMS_PER_CONNECTION }, (_, index) => {
    const streamId = 2 * index + 1;
    const data = Array.from(message, (byte) => frame(FRAME.data, FLAG.none, streamId, Buffer.of(byte)));
    return Buffer.concat([frame(FRAME.headers, FLAG.endHeaders, streamId, headers), ...data]);
  });
  const connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => openRawHttp2(port)));
  for (const { socket } of connections) socket.write(Buffer.concat(streams));
  return sent(connections.map(({ socket }) => socket));
}

async function chunks(port: number): Promise<Sent> {
  const headers = Object.entries({
    host: 'files',
    'content-type': 'application/json',
    'transfer-encoding': 'chunked',
    ...gateway('ada'),
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  const text = `POST ${PATH} HTTP/1.1\r\n${headers.join('')}\r\n${'1\r\n \r\n'.repeat(MESSAGE_BYTES)}`;
  const sockets = Array.from({ length: CONNECTIONS * STREAMS_PER_CONNECTION }, () =>
    connect(port, '127.0.0.1'),
  );
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  for (const socket of sockets) socket.on('error', () => {}).write(text);
  return sent(sockets);
}

/** Resolves when all bytes have left this process. */
async function sent(sockets: readonly ReturnType<typeof connect>[]): Promise<Sent> {
  while (sockets.some(({ writableLength, destroyed }) => writableLength > 0 && !destroyed)) await sleep(10);
  await sleep(100);
  return {
    sentBytes: sockets.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0),
    close: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}
