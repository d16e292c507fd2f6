import { once } from 'node:events';
import { connect } from 'node:net';
import { envelope, FLAG, FRAME, frame, grpcHeaders, headerBlock, openRawHttp2 } from './http2-frames.ts';

/** A slow client. @returns the time in ms until the service ended its stream or connection */
type SlowClient = (port: number) => Promise<number>;

/** Far shorter than any limit, so that a limit for idle connections would not end these clients. */
const TRICKLE_MS = 200;

/** A client over TCP that sends `begin`, and then `more` again and again. */
function trickling(begin: string, more: string): SlowClient {
  return async (port) => {
    const startMs = performance.now();
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {}).resume();
    await once(socket, 'connect');
    socket.write(begin);
    const timer = more === '' ? undefined : setInterval(() => socket.write(more), TRICKLE_MS);
    await new Promise((resolve) => socket.once('close', resolve));
    clearInterval(timer);
    return performance.now() - startMs;
  };
}

/**
 * A client over HTTP/2 that begins a stream with `first`, and then sends the frame `more` again and again.
 */
function streaming(path: string, first: Uint8Array, more: Uint8Array, settings?: Uint8Array): SlowClient {
  return async (port) => {
    const startMs = performance.now();
    using raw = await openRawHttp2(port, settings);
    const block = headerBlock(grpcHeaders(path));
    raw.socket.write(Buffer.concat([frame(FRAME.headers, FLAG.endHeaders, 1, block), first]));
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      timer = setInterval(() => {
        if (raw.received.has(FRAME.reset) || raw.socket.destroyed) resolve();
        else if (more.length > 0) raw.socket.write(more);
      }, TRICKLE_MS);
    });
    clearInterval(timer);
    return performance.now() - startMs;
  };
}

const NOTHING = Buffer.alloc(0);
const LIST = '/files.v1.FileService/ListFiles';
const REFLECTION = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
const EMPTY = envelope(NOTHING);
/** SETTINGS_INITIAL_WINDOW_SIZE = 0, with which the client reads no bytes of an answer. */
const NO_WINDOW = Buffer.from([0, 4, 0, 0, 0, 0]);

const HTTP2_CLIENTS: Record<string, SlowClient> = {
  'sends nothing': trickling('', ''),
  'half a preface': trickling('PRI * HTTP/2.0\r\n\r\nSM', ''),
  'a body, byte by byte': streaming(
    LIST,
    frame(FRAME.data, FLAG.none, 1, envelope(NOTHING, 0, 1_000)),
    frame(FRAME.data, FLAG.none, 1, Buffer.alloc(1)),
  ),
  'a request that never ends': streaming(LIST, frame(FRAME.data, FLAG.none, 1, EMPTY), NOTHING),
  'a reflection stream that never ends': streaming(
    REFLECTION,
    // list_services = ""
    frame(FRAME.data, FLAG.none, 1, envelope(Buffer.from([0x3a, 0]))),
    NOTHING,
  ),
  'does not read the answer': streaming(
    LIST,
    frame(FRAME.data, FLAG.endStream, 1, EMPTY),
    NOTHING,
    NO_WINDOW,
  ),
};

/** The slow clients of each port, by name. */
export const SLOW_CLIENTS = {
  gRPC: HTTP2_CLIENTS,
  HTTP: {
    ...HTTP2_CLIENTS,
    'a first line, byte by byte': trickling('GET /', 'a'),
    'headers, line by line': trickling('GET /livez HTTP/1.1\r\nHost: localhost\r\n', 'x-more: a\r\n'),
    'an HTTP/1 body, byte by byte': trickling(
      `POST ${LIST} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`,
      ' ',
    ),
  },
};
