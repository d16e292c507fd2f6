import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';

export interface Http1AndHttp2Options {
  headersMaxBytes: number;
  streamsPerConnectionMax: number;
}

/** The first bytes of every HTTP/2 connection (RFC 9113, 3.4); no HTTP/1 request begins so. */
const HTTP2_PREFACE = 'PRI * HTTP/2.0';

/** A connection that has said nothing by then is closed; Node's own limit for the headers begins after. */
const FIRST_BYTES_TIMEOUT_MS = 10_000;

export interface Http1AndHttp2Server {
  server: Server;
  /** Ends the connections that have no call under way, and the others after theirs. */
  closeConnections(): void;
  destroyConnections(): void;
}

/**
 * HTTP/1.1 and HTTP/2 in plain text on one port, told apart by the first bytes,
 * as Go's servers do with h2c. Node does so under TLS only. curl and browsers'
 * proxies speak the one, buf curl asks reflection over the other.
 *
 * The HTTP/1 server listens, so that its own time-outs and bookkeeping hold.
 */
export function createHttp1AndHttp2Server(
  options: Http1AndHttp2Options,
  listener: RequestListener,
): Http1AndHttp2Server {
  const server = createServer({ maxHeaderSize: options.headersMaxBytes }, listener);
  const http2 = createHttp2Server({
    maxHeaderListPairs: 100,
    settings: {
      maxConcurrentStreams: options.streamsPerConnectionMax,
      maxHeaderListSize: options.headersMaxBytes,
    },
  });
  // The compatibility layer of http2 gives a handler what http gives it.
  http2.on('request', listener as unknown as Parameters<Http2Server['on']>[1]);
  const sessions = new Set<ServerHttp2Session>();
  http2.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
  });

  // Neither server knows of them before their first bytes.
  const silent = new Set<Socket>();
  const [serveHttp1] = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
    socket.setTimeout(FIRST_BYTES_TIMEOUT_MS, () => socket.destroy());
    // A connection that breaks before it has said anything is nobody's fault.
    socket.once('error', () => socket.destroy());
    socket.once('readable', () => {
      silent.delete(socket);
      socket.setTimeout(0);
      socket.removeAllListeners('timeout').removeAllListeners('error');
      const first: Buffer | null = socket.read();
      if (first === null) return void socket.destroy();
      socket.unshift(first);
      const isHttp2 = first.toString('latin1', 0, HTTP2_PREFACE.length) === HTTP2_PREFACE;
      if (isHttp2) http2.emit('connection', socket);
      else serveHttp1?.call(server, socket);
    });
  });

  return {
    server,
    closeConnections() {
      server.closeIdleConnections();
      for (const socket of silent) socket.destroy();
      for (const session of sessions) session.close();
    },
    destroyConnections() {
      server.closeAllConnections();
      for (const session of sessions) session.destroy();
    },
  };
}
