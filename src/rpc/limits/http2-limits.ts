import { constants, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { REQUEST_TIMEOUT_MS } from './limits.ts';
import { createStallCheck, LOOK_INTERVAL_MS } from './stalled-reader.ts';

/** By so much Node's timers may come before their time. */
const EARLY_MS = 50;

/**
 * The time limits that neither Node's HTTP/2 server nor grpc-js has: for a connection until it speaks HTTP/2, for a
 * request until it is here as a whole, and for an answer that is not read.
 *
 * The client's half of a stream counts, and not whether it was answered: an answered stream that its client never ends
 * costs as much. So a reflection stream lives no longer either; its clients open another.
 */
export function limitHttp2(server: Http2Server): void {
  server.on('session', (session: ServerHttp2Session) => {
    const silent = setTimeout(() => session.destroy(), REQUEST_TIMEOUT_MS);
    session.once('remoteSettings', () => clearTimeout(silent));
    session.once('close', () => clearTimeout(silent));
  });
  server.on('stream', (stream: ServerHttp2Stream) => {
    const isStalled = createStallCheck(stream);
    const startMs = performance.now();
    // One timer for both limits: every call has one.
    const timer = setTimeout(() => {
      const isLate = performance.now() - startMs >= REQUEST_TIMEOUT_MS - EARLY_MS && !isWhole(stream);
      if (isStalled() || isLate) stream.close(constants.NGHTTP2_CANCEL);
      else timer.refresh();
    }, LOOK_INTERVAL_MS);
    stream.on('close', () => clearTimeout(timer));
  });
}

/** Whether the client has ended its half, read or not. */
function isWhole(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.state.remoteClose === 1;
}
