import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Connection } from './connection-limit.ts';

/** The member of a request, response or stream that this file needs. */
interface Request {
  once(event: 'close', listener: () => void): unknown;
}

/**
 * Limits the open unproven requests on all connections together. A request is unproven until its caller has
 * authenticated as a gateway (the trusted caller that names the user). Requests for health, reflection and pages such
 * as `/livez`, and refused calls, stay unproven. A request counts until its response was written, because the client
 * may leave the response unread. Above the limit the oldest request is aborted. An honest request is answered within
 * milliseconds, so it is hardly ever the oldest.
 *
 * @param abort ends a request and frees its memory
 * @returns a function that counts a request. That function returns a second function, which stops counting
 *   the request. The second function must be called when the gateway and the user of the request were
 *   accepted.
 */
export function limitUnprovenRequests<R extends Request>(
  max: number,
  abort: (request: R) => void,
): (request: R) => () => void {
  const open = new Set<R>();
  return (request) => {
    const countNoMore = () => void open.delete(request);
    open.add(request);
    request.once('close', countNoMore);
    if (open.size > max) {
      const [oldest] = open;
      if (oldest !== undefined) {
        open.delete(oldest);
        abort(oldest);
      }
    }
    return countNoMore;
  };
}

/**
 * Ends a stream, and with it the whole connection if no call on the connection was ever accepted. All streams of a
 * destroyed connection are freed at once. A stream that is closed is freed only after Node has handled everything
 * that it had read from all connections.
 */
export function abortStream(stream: ServerHttp2Stream, connection: Connection | undefined): void {
  if (connection?.isIdentified) stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  else stream.session?.destroy();
}
