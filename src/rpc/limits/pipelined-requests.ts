import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Limits the requests that an HTTP/1.1 connection has open at once, and closes a connection that sends one too many.
 *
 * @returns notes a request; `true` when its connection was closed, and nothing is to be done for it
 */
export function refusePipelining(
  max: number,
): (request: IncomingMessage, response: ServerResponse) => boolean {
  const openOf = new WeakMap<Socket, number>();
  return ({ httpVersionMajor, socket }, response) => {
    // Streams have a limit of their own.
    if (httpVersionMajor !== 1) return false;
    // Node goes on with what it has read already.
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
