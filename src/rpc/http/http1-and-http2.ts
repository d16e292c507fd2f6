/**
 * Serves HTTP/1.1 and HTTP/2 on one port. The first bytes of a connection tell which protocol it speaks, as
 * in Go's servers with h2c. Node offers this only under TLS, where this file serves too, so that both have
 * the same limits. curl and browsers' proxies use HTTP/1.1, and buf curl uses reflection over HTTP/2.
 *
 * The HTTP/1 server listens and accepts the connections, so that its time-outs and its list of connections
 * work.
 */
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

/** The first bytes of every HTTP/2 connection (RFC 9113, 3.4). No HTTP/1 request begins with these bytes. */
const HTTP2_PREFACE = 'PRI * HTTP/2.0';

/**
 * How often Node checks for requests that take too long. Its default of 30 s is six times REQUEST_TIMEOUT_MS.
 */
const REQUEST_CHECK_INTERVAL_MS = 1_000;

export interface Http1AndHttp2Server {
  server: Server;
  connections: ConnectionLimit;
  /** Ends idle connections at once. HTTP/2 connections with calls under way end after their last call. */
  closeConnections(): void;
  destroyConnections(): void;
}

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
  // Lifts Node's limit, beyond which Node drops headers silently. The listener counts the headers
  // (HEADERS_MAX_COUNT).
  server.maxHeadersCount = 0;
  const http2 = createHttp2Server(HTTP2_OPTIONS);
  // The compatibility layer of node:http2 calls the listener with objects that have the interface of
  // node:http.
  http2.on('request', listener as unknown as Parameters<Http2Server['on']>[1]);
  const sessions = new Set<ServerHttp2Session>();
  http2.on('session', (session) => {
    sessions.add(session);
    // Does not use `session.setTimeout`: its timer survives the session and keeps the closed session in
    // memory.
    const idle = setTimeout(() => session.close(), IDLE_TIMEOUT_MS);
    session.on('stream', () => idle.refresh());
    session.once('close', () => {
      clearTimeout(idle);
      sessions.delete(session);
    });
  });

  // Connections that have sent nothing yet. Neither of the two servers knows these connections.
  const silent = new Set<Socket>();
  const connected = certificates ? 'secureConnection' : 'connection';
  const [serveHttp1] = server.listeners(connected);
  server.removeAllListeners(connected);
  server.on(connected, (socket: Socket) => {
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
    socket.setTimeout(REQUEST_TIMEOUT_MS, () => socket.destroy());
    // A connection that breaks before its first byte is not an error to report.
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
      // The sockets of an HTTP/1 server stay open after the client has ended its half. An HTTP/2 session
      // would then wait until IDLE_TIMEOUT_MS.
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
