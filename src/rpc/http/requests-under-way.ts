import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type Http2ServerRequest } from 'node:http2';

/** The requests that were not answered completely yet, and what a stop of the server means for each. */
export function createRequestsUnderWay() {
  const requests = new Map<ServerResponse, IncomingMessage>();
  let announced = false;
  let onAnswered: (() => void) | undefined;
  return {
    add(request: IncomingMessage, response: ServerResponse): void {
      requests.set(response, request);
      response.once('close', () => {
        requests.delete(response);
        // A kept-alive connection would delay the stop until the grace period ends.
        if (onAnswered !== undefined) setImmediate(onAnswered);
      });
      response.once('finish', () => takeNothingMore(request));
      if (announced) askToClose(response, request);
      if (onAnswered !== undefined) endStream(response, request);
    },

    /** Ends a request and frees its memory. */
    abort(response: ServerResponse): void {
      const request = requests.get(response);
      // A pipelined response behind another response has no socket yet, so `response.destroy()` would not
      // close it.
      if (request?.httpVersionMajor === 1) request.socket.destroy();
      else response.destroy();
    },

    /** From now on, each HTTP/1.1 response asks its client to close the connection (`connection: close`). */
    announceStop(): void {
      announced = true;
      for (const [response, request] of requests) askToClose(response, request);
    },

    /** Ends the streams, and from now on calls `closeConnections` after each response. */
    stop(closeConnections: () => void): void {
      onAnswered = closeConnections;
      for (const [response, request] of requests) endStream(response, request);
    },
  };
}

/**
 * Prevents a client from sending its next call on a connection that is being closed. HTTP/2 has GOAWAY for
 * this.
 */
function askToClose(response: ServerResponse, request: IncomingMessage): void {
  if (request.httpVersionMajor === 1 && !response.headersSent) response.setHeader('connection', 'close');
}

/**
 * Stops an HTTP/2 client from sending the rest of an answered request. Over HTTP/1.1 Node reads and drops the
 * rest.
 */
function takeNothingMore(request: IncomingMessage | Http2ServerRequest): void {
  if ('stream' in request && !request.complete) request.stream.close(constants.NGHTTP2_NO_ERROR);
}

/**
 * Ends a reflection stream. Its client may keep the stream open without end, and loses nothing when it ends.
 */
function endStream(response: ServerResponse, request: IncomingMessage): void {
  if (request.url?.startsWith('/grpc.reflection.')) response.destroy();
}
