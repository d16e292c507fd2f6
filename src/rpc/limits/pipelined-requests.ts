import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Limits the requests that an HTTP/1.1 connection has open at once, and closes a connection that sends more.
 *
 * @returns a function that counts a request; it returns `true` if the connection was closed and the request
 *   must be ignored
 */
export function refusePipelining(
  max: number,
): (request: IncomingMessage, response: ServerResponse) => boolean {
  const openOf = new WeakMap<Socket, number>();
  return ({ httpVersionMajor, socket }, response) => {
    // HTTP/2 limits its concurrent streams (STREAMS_PER_CONNECTION_MAX).
    if (httpVersionMajor !== 1) return false;
    // Node still emits the requests that it had read before the socket was destroyed.
    if (socket.destroyed) return true;
    const open = (openOf.get(socket) ?? 0) + 1;
    if (open > max) {
      socket.destroy();
      return true;
    }
    openOf.set(socket, open);
    response.once('close', () => openOf.set(socket, (openOf.get(socket) ?? 0) - 1));
    return false;
  };
}
