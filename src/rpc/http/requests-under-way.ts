import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type Http2ServerRequest } from 'node:http2';
import type { Connection } from '../limits/connection-limit.ts';
import { abortStream } from '../limits/unproven-requests.ts';
import { ReleasingSet } from '../memory/releasing-set.ts';

/** How often a stream is asked whether its last frame was sent. */
const LAST_FRAME_INTERVAL_MS = 10;

/** Keeps the requests that are not answered completely yet, and ends them or their connections at a stop. */
export function createRequestsUnderWay() {
  const responses = new ReleasingSet<ServerResponse>();
  let announced = false;
  let onAnswered: (() => void) | undefined;
  return {
    add(request: IncomingMessage, response: ServerResponse): void {
      const remove = responses.add(response);
      response.once('close', () => {
        remove();
        // Closes connections that have no more request: an open idle connection would delay the stop until the
        // grace period ends.
        if (onAnswered !== undefined) setImmediate(onAnswered);
      });
      takeNothingMoreAfterAnswer(request);
      if (announced) askToClose(response, request);
      if (onAnswered !== undefined) endStream(response, request);
    },

    /** Ends a request and frees its memory. */
    abort(response: ServerResponse, connection: Connection | undefined): void {
      const request = response.req as IncomingMessage | Http2ServerRequest;
      // Over HTTP/1.1, a client can send a second request before it has read the first response. Until the first
      // response has ended, the second response has no socket, and its `destroy()` would close nothing.
      if (!('stream' in request)) request.socket.destroy();
      else abortStream(request.stream, connection);
    },

    /** From now on, each HTTP/1.1 response asks its client to close the connection (`connection: close`). */
    announceStop(): void {
      announced = true;
      for (const response of responses) askToClose(response, response.req);
    },

    /** Ends the streams of gRPC reflection, and from now on calls `closeConnections` after each response. */
    stop(closeConnections: () => void): void {
      onAnswered = closeConnections;
      for (const response of responses) endStream(response, response.req);
    },
  };
}

/**
 * Asks an HTTP/1.1 client to send its next call on another connection, because the server is about to close this
 * one. HTTP/2 clients get a GOAWAY frame for the same reason.
 */
function askToClose(response: ServerResponse, request: IncomingMessage): void {
  if (request.httpVersionMajor === 1 && !response.headersSent) response.setHeader('connection', 'close');
}

/**
 * Stops an HTTP/2 client from sending the rest of a request that is already answered. Node does so only for a request of
 * which nothing was read, and keeps 9 kB for each other such request until its client has sent everything. Over HTTP/1.1
 * nothing needs to be done, because Node reads and drops the rest.
 *
 * The response emits `finish` only when the stream has closed, so this function listens to the stream. The stream emits
 * `finish` before its last frame is sent. If it were closed then, nghttp2 would send RST_STREAM first and drop the
 * answer: Go clients then report a broken stream.
 */
function takeNothingMoreAfterAnswer(request: IncomingMessage | Http2ServerRequest): void {
  if (!('stream' in request)) return;
  const { stream } = request;
  const close = () => {
    if (stream.destroyed || request.complete) return;
    if (stream.state.localClose === 1) stream.close(constants.NGHTTP2_NO_ERROR);
    else setTimeout(close, LAST_FRAME_INTERVAL_MS).unref();
  };
  stream.once('finish', () => {
    if (!request.complete) setImmediate(close);
  });
}

/**
 * Ends the request if it is a stream of gRPC reflection. Its client may keep the stream open for ever, and loses
 * nothing when the stream ends. Other requests continue.
 */
function endStream(response: ServerResponse, request: IncomingMessage): void {
  if (request.url?.startsWith('/grpc.reflection.')) response.destroy();
}
