/** Raw HTTP/2 frames (RFC 9113), for input that no client library would send. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

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

/** A header block without HPACK's tables: each field is a literal (RFC 7541, 6.2.2). */
export function headerBlock(fields: Iterable<readonly [string, string]>): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of fields) parts.push(Buffer.from([0]), hpackString(name), hpackString(value));
  return Buffer.concat(parts);
}

/** A header block whose fields the peer keeps in its dynamic table (RFC 7541, 6.2.1). */
export function indexingBlock(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.from([0x40]), hpackString(name), hpackString(value)]),
  );
}

/**
 * A header block that refers to the fields of a previous `indexingBlock`, with a byte for each field (RFC
 * 7541, 6.1). The entries of the dynamic table have indexes from 62, newest first.
 */
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

/** A message with its prefix of five bytes, as in gRPC and gRPC-Web. */
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

interface RawHttp2 extends Disposable {
  readonly socket: Socket;
  /** The number of received frames by their type. */
  readonly received: Map<number, number>;
  /** The types of the frames that were received for a stream. */
  framesOf(streamId: number): ReadonlySet<number>;
  /** Resolves when the service has closed the connection. */
  readonly closed: Promise<unknown>;
}

/** Opens a connection and sends the preface and the settings. The test then sends its own frames. */
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
