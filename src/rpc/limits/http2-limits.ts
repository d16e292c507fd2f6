import { constants, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { checkArrival } from './arrival.ts';
import type { ConnectionLimit } from './connection-limit.ts';
import {
  REQUEST_TIMEOUT_MS,
  STRANGER_STREAMS_MAX,
  STRANGERS_FEW,
  STREAMS_PER_CONNECTION_MAX,
} from './limits.ts';
import { STREAM_REQUEST_MAX_BYTES } from './message-limits.ts';
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

/** Closes a stream of reflection when the client has sent too much on it, or in too many small pieces. */
export function limitRequestBytes(stream: ServerHttp2Stream): void {
  const arrives = checkArrival(STREAM_REQUEST_MAX_BYTES);
  stream.on('data', (piece: Buffer) => {
    try {
      arrives(piece);
    } catch {
      stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    }
  });
}

/**
 * Limits the streams of strangers: connections on which no call was accepted yet. While there are more than
 * STRANGERS_FEW strangers, each new stranger may have only STRANGER_STREAMS_MAX streams at once.
 */
export function limitStrangers(server: Http2Server, connections: ConnectionLimit): void {
  const strangers = new Set<ServerHttp2Session>();
  server.on('session', (session) => {
    strangers.add(session);
    session.once('close', () => strangers.delete(session));
    const isLimited = strangers.size > STRANGERS_FEW;
    if (isLimited) session.settings({ maxConcurrentStreams: STRANGER_STREAMS_MAX });
    connections.of(session.socket)?.onIdentified(() => {
      strangers.delete(session);
      if (isLimited && !session.closed)
        session.settings({ maxConcurrentStreams: STREAMS_PER_CONNECTION_MAX });
    });
  });
}
