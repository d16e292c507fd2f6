import { constants, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { REQUEST_TIMEOUT_MS } from './limits.ts';
import { createStallCheck, STALL_CHECK_INTERVAL_MS } from './stalled-reader.ts';

/** The tolerance in comparisons of times, because Node's timers may fire a little early. */
const EARLY_MS = 50;

/**
 * Adds three time limits that neither Node's HTTP/2 server nor grpc-js has: for the time until a connection speaks
 * HTTP/2, for the time until a request is complete, and for the time that a response waits for its reader.
 *
 * A request is complete when the client has said that it sends no more on the stream. The time limit also holds
 * if the service has already answered, because an unfinished request costs as much after its answer as before it.
 * So reflection streams, which their clients keep open, end after this time too. Their clients open new streams.
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
    // One timer serves the limits for the request and for the response. Every call needs a timer, and a second
    // timer for each call would cost more.
    const timer = setTimeout(() => {
      const isLate = performance.now() - startMs >= REQUEST_TIMEOUT_MS - EARLY_MS && !isWhole(stream);
      if (isStalled() || isLate) stream.close(constants.NGHTTP2_CANCEL);
      else timer.refresh();
    }, STALL_CHECK_INTERVAL_MS);
    stream.on('close', () => clearTimeout(timer));
  });
}

/** Tells whether the client has sent its whole request, even if the service has not read all of it yet. */
function isWhole(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.state.remoteClose === 1;
}
