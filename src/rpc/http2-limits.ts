import { constants, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { ConnectionLimit } from './connection-limit.ts';
import { REQUEST_TIMEOUT_MS } from './limits.ts';

/**
 * The limits in time that neither Node's HTTP/2 server nor grpc-js has: for a
 * connection until it speaks HTTP/2, for a request until it is here as a whole,
 * and for an answer that nobody reads.
 *
 * The client's half of a stream counts, and not whether it was answered: an
 * answered stream that its client never ends is as much of a burden. So a
 * reflection stream lives no longer either; its clients open another.
 */
export function limitHttp2(server: Http2Server, connections: ConnectionLimit): void {
  server.on('session', (session: ServerHttp2Session) => {
    const { remoteAddress, remotePort } = session.socket;
    const silent = setTimeout(() => session.destroy(), REQUEST_TIMEOUT_MS);
    session.once('remoteSettings', () => clearTimeout(silent));
    session.once('close', () => clearTimeout(silent));
    session.once('stream', (first: ServerHttp2Stream) => {
      first.once('close', () => connections.answered({ remoteAddress, remotePort }));
    });
  });
  server.on('stream', (stream: ServerHttp2Stream) => {
    let unread = 0;
    const timer = setTimeout(() => {
      const { writableLength } = stream;
      const stalled = writableLength > 0 && writableLength === unread;
      unread = writableLength;
      if (stalled || !isWhole(stream)) stream.close(constants.NGHTTP2_CANCEL);
      else timer.refresh();
    }, REQUEST_TIMEOUT_MS);
    stream.once('close', () => clearTimeout(timer));
  });
}

/** Whether the client has ended its half, read or not. */
function isWhole(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.state.remoteClose === 1;
}
