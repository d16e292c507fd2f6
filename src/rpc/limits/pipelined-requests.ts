import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { limitChunks } from './arrival.ts';
import { PIPELINED_REQUESTS_MAX } from './limits.ts';
import { limitPerConnection } from './open-per-connection.ts';

/**
 * Limits the requests that an HTTP/1.1 connection has open at once, and closes a connection that has more.
 *
 * @returns a function that counts a request; it returns `true` if the connection was closed and the request
 *   must be ignored
 */
export function refusePipelining(): (request: IncomingMessage, response: ServerResponse) => boolean {
  const mayOpen = limitPerConnection(PIPELINED_REQUESTS_MAX);
  return ({ httpVersionMajor, socket }, response) => {
    // For HTTP/2, STREAMS_PER_CONNECTION_MAX (limits.ts) limits the concurrent streams of a connection.
    if (httpVersionMajor !== 1) return false;
    // Node still emits the requests that it had read before the socket was destroyed.
    if (socket.destroyed) return true;
    if (mayOpen(socket, response)) return false;
    socket.destroy();
    return true;
  };
}

/** Limits what each connection of an HTTP/1.1 server may request at once, and in which pieces. */
export function limitHttp1(server: Server): void {
  server.on('connection', limitRequestsPerRead);
  const refuse = refusePipelining();
  for (const event of ['request', 'checkContinue'])
    server.prependListener(event, limitChunks).prependListener(event, refuse);
}

/** With this return value of `onIncoming`, Node's parser takes the following bytes for another protocol, and stops. */
const STOP_PARSING = 2;

/** The private field of a socket with which Node handles each request. */
interface ParsedSocket {
  parser?: { onIncoming?: (...request: unknown[]) => number } | null;
}

/**
 * Closes an HTTP/1.1 connection that has too many requests in one read. `refusePipelining` alone comes too late: Node
 * makes the objects of all requests of a read, even after the socket was destroyed, and answers some requests by itself,
 * such as those without a Host. 300 connections that sent 64 KiB of requests each exhausted the heap of the process.
 *
 * Must be called when Node's HTTP/1 server has the socket. If a release of Node renames `onIncoming`, the test of
 * pipelined requests in test/resilience/abusive-clients.test.ts fails.
 */
export function limitRequestsPerRead(socket: Socket): void {
  const { parser } = socket as ParsedSocket;
  const onIncoming = parser?.onIncoming;
  if (!parser || !onIncoming) return;
  let requests = 0;
  const nextRead = () => {
    requests = 0;
  };
  parser.onIncoming = (...request) => {
    // Node parses a whole read before it runs the next tick.
    if (++requests === 1) process.nextTick(nextRead);
    if (requests <= PIPELINED_REQUESTS_MAX && !socket.destroyed) return onIncoming(...request);
    socket.destroy();
    return STOP_PARSING;
  };
}
