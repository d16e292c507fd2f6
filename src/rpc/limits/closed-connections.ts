/**
 * Frees what closed connections leave behind. Node copies the bytes of an HTTP/1.1 request into buffers outside V8's
 * heap, and V8 collects such buffers only after 64 MB of them. A thousand requests of 1 MiB, whose callers had not
 * proved to be a gateway, each on a connection of its own, therefore made the process grow by up to 117 MB. With this
 * file the process grew by less than 100 MB (`test/amplification/crowds.test.ts`, long form). A gateway keeps its
 * connections, so a gateway causes no scavenge here.
 */
import type { Server, Socket } from 'node:net';

/** The received bytes after which a scavenge is worth its time. */
const SCAVENGE_BYTES = 16 * 1024 * 1024;

/** Does nothing unless Node was started with `--expose-gc`, as `npm start` does. */
export function freeClosedConnections(server: Server): void {
  let bytes = 0;
  server.on('connection', (socket: Socket) => {
    socket.once('close', () => {
      bytes += socket.bytesRead;
      if (bytes < SCAVENGE_BYTES) return;
      bytes = 0;
      globalThis.gc?.({ type: 'minor' });
    });
  });
}
