import type { IncomingMessage, ServerResponse } from 'node:http';
import { limitPerConnection } from './open-per-connection.ts';

/**
 * Limits the requests that an HTTP/1.1 connection has open at once, and closes a connection that has more.
 *
 * @returns a function that counts a request; it returns `true` if the connection was closed and the request
 *   must be ignored
 */
export function refusePipelining(
  max: number,
): (request: IncomingMessage, response: ServerResponse) => boolean {
  const mayOpen = limitPerConnection(max);
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
