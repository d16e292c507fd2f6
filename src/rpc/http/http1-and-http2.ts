import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { type ConnectionLimit, limitConnections } from '../limits/connection-limit.ts';
import { limitHttp2 } from '../limits/http2-limits.ts';
import {
  CONNECTIONS_MAX,
  HEADERS_MAX_BYTES,
  HTTP2_OPTIONS,
  IDLE_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
  STALLED_SOCKET_TIMEOUT_MS,
} from '../limits/limits.ts';
import { watchReader } from '../limits/stalled-reader.ts';
import { type Certificates, createSecureServer } from '../tls/tls.ts';

/** The first bytes of every HTTP/2 connection (RFC 9113, 3.4); no HTTP/1 request begins so. */
const HTTP2_PREFACE = 'PRI * HTTP/2.0';

/** How often Node looks for requests that take too long; its own half minute is six times the limit. */
const REQUEST_CHECK_INTERVAL_MS = 1_000;

export interface Http1AndHttp2Server {
  server: Server;
  connections: ConnectionLimit;
  /** Ends the connections that have no call under way, and the others after theirs. */
  closeConnections(): void;
  destroyConnections(): void;
}

/**
 * HTTP/1.1 and HTTP/2 on one port, told apart by the first bytes, as Go's servers
 * do with h2c. Node does so under TLS only, where this is the same code with the
 * same limits. curl and browsers' proxies speak the one, buf curl asks reflection
 * over the other.
 *
 * The HTTP/1 server listens, so that its own time-outs and bookkeeping hold.
 */
export function createHttp1AndHttp2Server(
  listener: RequestListener,
  certificates?: Certificates,
): Http1AndHttp2Server {
  const options = {
    maxHeaderSize: HEADERS_MAX_BYTES,
    headersTimeout: REQUEST_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: REQUEST_CHECK_INTERVAL_MS,
    keepAliveTimeout: IDLE_TIMEOUT_MS,
  };
  const server = certificates
    ? createSecureServer(certificates, options, listener)
    : createServer(options, listener);
  server.setTimeout(STALLED_SOCKET_TIMEOUT_MS);
  // Whoever counts them has to see all: beyond its own limit Node drops headers, and goes on.
  server.maxHeadersCount = 0;
  const http2 = createHttp2Server(HTTP2_OPTIONS);
  // The compatibility layer of http2 gives a handler what http gives it.
  http2.on('request', listener as unknown as Parameters<Http2Server['on']>[1]);
  const sessions = new Set<ServerHttp2Session>();
  http2.on('session', (session) => {
    sessions.add(session);
    // A timer of ours: Node's own for a session lives on when the session has closed, and keeps it in memory for as long.
    const idle = setTimeout(() => session.close(), IDLE_TIMEOUT_MS);
    session.on('stream', () => idle.refresh());
    session.once('close', () => {
      clearTimeout(idle);
      sessions.delete(session);
    });
  });

  // Neither server knows of them before their first bytes.
  const silent = new Set<Socket>();
  const connected = certificates ? 'secureConnection' : 'connection';
  const [serveHttp1] = server.listeners(connected);
  server.removeAllListeners(connected);
  server.on(connected, (socket: Socket) => {
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
    socket.setTimeout(REQUEST_TIMEOUT_MS, () => socket.destroy());
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
      if (!isHttp2) return void serveHttp1?.call(server, socket);
      // An HTTP/1 server's sockets outlive their client's end; an HTTP/2 session would wait for it until it is idle too long.
      socket.allowHalfOpen = false;
      http2.emit('connection', socket);
    });
  });

  const connections = limitConnections(server, CONNECTIONS_MAX);
  server.on('request', (_, response) => watchReader(response, () => response.destroy()));
  limitHttp2(http2);

  return {
    server,
    connections,
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
