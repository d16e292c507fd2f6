import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** HTTP/2 by hand (RFC 9113), for what no client library would send. */

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const FLAG = { none: 0, endStream: 1, ack: 1, endHeaders: 4 } as const;

export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = new Uint8Array(),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** HPACK without its tables: each field a literal (RFC 7541, 6.2.2). */
export function headerBlock(fields: Iterable<readonly [string, string]>): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of fields) parts.push(Buffer.from([0]), hpackString(name), hpackString(value));
  return Buffer.concat(parts);
}

/** The same, but the peer keeps each field in its table (6.2.1). */
export function indexingBlock(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.from([0x40]), hpackString(name), hpackString(value)]),
  );
}

/** What a table holds that had just these fields put in: a byte for each (6.1). Its entries count from 62, newest first. */
export function indexedBlock(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.from(fields.map((_, index) => 0x80 | (62 + fields.length - 1 - index)));
}

function hpackString(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest > 127; rest >>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

/** A message in the five bytes of its envelope, as gRPC and gRPC-Web have it. */
export function envelope(message: Uint8Array, flags = 0, length = message.length): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

export function grpcHeaders(path: string, further: Record<string, string> = {}): [string, string][] {
  return Object.entries({
    ':method': 'POST',
    ':scheme': 'http',
    ':path': path,
    ':authority': 'localhost',
    te: 'trailers',
    'content-type': 'application/grpc',
    'x-user-id': 'ada',
    ...further,
  });
}

export interface RawHttp2 extends Disposable {
  readonly socket: Socket;
  /** Of frames: how many of each type have come. */
  readonly received: Map<number, number>;
  /** The types of the frames that have come for a stream. */
  framesOf(streamId: number): ReadonlySet<number>;
  /** Resolves when the service has closed the connection. */
  readonly closed: Promise<unknown>;
}

/** A connection that has said the preface and its settings, and now says what its test wants. */
export async function openRawHttp2(port: number, settings: Uint8Array = new Uint8Array()): Promise<RawHttp2> {
  const socket = connect(port, '127.0.0.1');
  const closed = new Promise((resolve) => socket.once('close', resolve));
  await once(socket, 'connect');
  socket.on('error', () => {});
  const received = new Map<number, number>();
  const streams = new Map<number, Set<number>>();
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const type = rest[3] ?? 0;
      received.set(type, (received.get(type) ?? 0) + 1);
      const streamId = rest.readUInt32BE(5);
      streams.set(streamId, (streams.get(streamId) ?? new Set()).add(type));
      rest = rest.subarray(9 + rest.readUIntBE(0, 3));
    }
  });
  socket.write(Buffer.concat([PREFACE, frame(FRAME.settings, FLAG.none, 0, settings)]));
  socket.write(frame(FRAME.settings, FLAG.ack, 0));
  const framesOf = (streamId: number) => streams.get(streamId) ?? new Set<number>();
  return { socket, received, framesOf, closed, [Symbol.dispose]: () => socket.destroy() };
}
