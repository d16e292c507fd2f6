import { constants, type ServerHttp2Stream } from 'node:http2';
import { ReleasingSet } from '../memory/releasing-set.ts';
import type { Connection, ConnectionLimit } from './connection-limit.ts';
import { PERIOD_MS, UNPROVEN_PER_CONNECTION_MIN, UNPROVEN_PER_PERIOD_MAX } from './limits.ts';

/** The member of a request, response or stream that this file needs. */
interface Request {
  once(event: 'close', listener: () => void): unknown;
}

interface UnprovenLimits<R> {
  connections: Pick<ConnectionLimit, 'count'>;
  /** The maximum number of open unproven requests. */
  openMax: number;
  /** Ends a request and frees its memory. */
  abort: (request: R, connection: Connection | undefined) => void;
}

/**
 * Limits the unproven requests of a port. A request is unproven until its caller has authenticated as a gateway (the
 * trusted caller that names the user). Requests for health, reflection and pages such as `/livez`, and refused calls,
 * stay unproven. There are two limits.
 *
 * - Open requests, on all connections together. A request counts until its response was written, because the client
 *   may leave the response unread. Above the limit the oldest request is aborted. An honest request is answered within
 *   milliseconds, so it is hardly ever the oldest.
 * - Requests of a connection in a period (`limitPerPeriod`). A request above the limit is aborted.
 *
 * @returns a function that counts a request, and returns `undefined` if it has aborted the request. Otherwise it
 *   returns a second function, which stops counting the request. The second function must be called when the gateway
 *   and the user of the request were accepted.
 */
export function limitUnprovenRequests<R extends Request>({
  connections,
  openMax,
  abort,
}: UnprovenLimits<R>): (request: R, connection: Connection | undefined) => (() => void) | undefined {
  const open = new ReleasingSet<[request: R, connection: Connection | undefined]>();
  const isAboveLimit = limitPerPeriod(connections);
  return (request, connection) => {
    if (isAboveLimit(connection)) {
      abort(request, connection);
      return undefined;
    }
    const countNoMore = open.add([request, connection]);
    request.once('close', countNoMore);
    const oldest = open.size > openMax ? open.takeOldest() : undefined;
    if (oldest !== undefined) abort(...oldest);
    return countNoMore;
  };
}

/**
 * Limits the requests of each connection in PERIOD_MS. The open connections share UNPROVEN_PER_PERIOD_MAX equally, so a
 * flood on some connections takes nothing from the others. Connections on which a call was accepted have no limit.
 *
 * @returns a function that counts a request of a connection, and tells whether the request is above the limit
 */
function limitPerPeriod({ count }: Pick<ConnectionLimit, 'count'>) {
  let startMs = 0;
  let requests = new WeakMap<Connection, number>();
  return (connection: Connection | undefined): boolean => {
    if (connection === undefined || connection.isIdentified) return false;
    const nowMs = performance.now();
    if (nowMs - startMs >= PERIOD_MS) {
      startMs = nowMs;
      requests = new WeakMap();
    }
    const counted = (requests.get(connection) ?? 0) + 1;
    requests.set(connection, counted);
    return counted > Math.max(UNPROVEN_PER_CONNECTION_MIN, UNPROVEN_PER_PERIOD_MAX / count());
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
