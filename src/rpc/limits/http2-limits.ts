import { constants, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { REQUEST_TIMEOUT_MS } from './limits.ts';
import { createStallCheck, STALL_CHECK_INTERVAL_MS } from './stalled-reader.ts';

/** Tolerance for Node's timers, which may fire early. */
const EARLY_MS = 50;

/**
 * Adds the time limits that neither Node's HTTP/2 server nor grpc-js has: until a connection speaks HTTP/2,
 * until a request is complete, and until the client reads a response that waits.
 *
 * The limit for requests holds until the client ends its half of the stream, even if the stream was answered:
 * an answered stream that its client never ends costs as much as an unanswered stream. So reflection streams
 * end after this time too, and their clients open new streams.
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
    // One timer serves both limits, because every call needs a timer.
    const timer = setTimeout(() => {
      const isLate = performance.now() - startMs >= REQUEST_TIMEOUT_MS - EARLY_MS && !isWhole(stream);
      if (isStalled() || isLate) stream.close(constants.NGHTTP2_CANCEL);
      else timer.refresh();
    }, STALL_CHECK_INTERVAL_MS);
    stream.on('close', () => clearTimeout(timer));
  });
}

/** Tells whether the client has ended its half of the stream, even if the service has not read all of it. */
function isWhole(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.state.remoteClose === 1;
}
