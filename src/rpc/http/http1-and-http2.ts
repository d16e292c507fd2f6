/**
 * Serves HTTP/1.1 and HTTP/2 on one port. The first bytes of a connection show which protocol its client speaks, as
 * in Go's servers with h2c (HTTP/2 without TLS). curl and browsers' proxies use HTTP/1.1. Without HTTP/2, `buf curl`
 * finds no service by reflection, and gRPC clients and Connect clients over h2c get no answer. Telling the protocols
 * apart costs 25 µs of CPU for a connection, and nothing for a call.
 *
 * Two other ways were rejected. `allowHTTP1` of node:http2 works under TLS only (nodejs/node#44887), so the TLS port
 * would have other limits than the plaintext port. The package @httptoolkit/httpolyglot replaces only `tellApart`, and
 * does not close connections that send nothing.
 *
 * The HTTP/1 server listens and accepts all connections, because its time-outs and its list of connections work only
 * for connections that it accepts.
 */
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { limitConnections } from '../limits/connection-limit.ts';
import { limitHttp2, limitStrangers } from '../limits/http2-limits.ts';
import {
  CONNECTIONS_MAX,
  HEADERS_MAX_BYTES,
  HTTP2_OPTIONS,
  IDLE_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
  STALLED_SOCKET_TIMEOUT_MS,
} from '../limits/limits.ts';
import { limitRequestsPerRead } from '../limits/pipelined-requests.ts';
import { watchReader } from '../limits/stalled-reader.ts';
import { releaseWhenClosed } from '../memory/closed-stream.ts';
import { type Certificates, createSecureServer } from '../tls/tls.ts';

/** The first bytes of every HTTP/2 connection (RFC 9113, 3.4). No HTTP/1 request begins with these bytes. */
const HTTP2_PREFACE = 'PRI * HTTP/2.0';

/**
 * How often Node checks whether a request takes longer than REQUEST_TIMEOUT_MS (5 s). With Node's default of 30 s, a
 * request could take 35 s before Node notices.
 */
const REQUEST_CHECK_INTERVAL_MS = 1_000;

/**
 * The events with a request. Without a listener for `checkExpectation`, and for `connect` over HTTP/2, Node answers
 * such requests by itself, and no limit counts them.
 */
const REQUEST_EVENTS = ['request', 'checkExpectation'];

export function createHttp1AndHttp2Server(listener: RequestListener, certificates?: Certificates) {
  const server = createHttp1Server(listener, certificates);
  const { http2, sessions } = createSessions(listener);
  const silent = tellApart(server, certificates ? 'secureConnection' : 'connection', http2);
  const connections = limitConnections(server, CONNECTIONS_MAX);
  for (const event of REQUEST_EVENTS)
    server.on(event, (_, response) => watchReader(response, () => response.destroy()));
  limitStrangers(http2, connections);
  limitHttp2(http2);

  return {
    server,
    connections,
    /**
     * Closes idle connections at once. An HTTP/2 connection with calls under way closes after its last call.
     * An HTTP/1.1 connection with a call under way stays open: this function must be called again after the
     * call.
     */
    closeConnections(): void {
      server.closeIdleConnections();
      for (const socket of silent) socket.destroy();
      for (const session of sessions) session.close();
    },
    destroyConnections(): void {
      server.closeAllConnections();
      for (const session of sessions) session.destroy();
    },
  };
}

function createHttp1Server(listener: RequestListener, certificates: Certificates | undefined): Server {
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
  server.on('checkExpectation', listener);
  server.setTimeout(STALLED_SOCKET_TIMEOUT_MS);
  // `0` turns off Node's limit on the number of headers, because Node drops the headers above it without an error. The
  // listener refuses requests with more than HEADERS_MAX_COUNT headers (`../limits/limits.ts`).
  server.maxHeadersCount = 0;
  return server;
}

/** An HTTP/2 server that does not listen, and its sessions. A session that is idle for too long is closed. */
function createSessions(listener: RequestListener) {
  const http2 = createHttp2Server(HTTP2_OPTIONS);
  // The compatibility layer of node:http2 calls the listener with objects that have the interface of
  // node:http.
  for (const event of [...REQUEST_EVENTS, 'connect'])
    http2.on(event, listener as unknown as Parameters<Http2Server['on']>[1]);
  http2.on('stream', releaseWhenClosed);
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
  return { http2, sessions };
}

/**
 * Passes each new connection to the HTTP/1 server or to the HTTP/2 server, as its first bytes demand.
 *
 * @returns the connections that have sent nothing yet, which neither of these two servers knows
 */
function tellApart(
  server: Server,
  connected: 'connection' | 'secureConnection',
  http2: Http2Server,
): ReadonlySet<Socket> {
  const silent = new Set<Socket>();
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
      if (!isHttp2) {
        serveHttp1?.call(server, socket);
        limitRequestsPerRead(socket);
        return;
      }
      // An HTTP/1 server keeps a socket open after the client has closed its direction. On such a socket, an HTTP/2
      // session would stay open until IDLE_TIMEOUT_MS.
      socket.allowHalfOpen = false;
      http2.emit('connection', socket);
    });
  });
  return silent;
}
