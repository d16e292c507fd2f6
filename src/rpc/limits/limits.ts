/**
 * `src/rpc/limits/` limits how much of the service a peer may take, on the gRPC port and on the HTTP port:
 * the bounds (this file) and their enforcement for connections, HTTP/2 streams, requests of callers that have
 * not authenticated as a gateway (the trusted caller that names the user of each call), unread responses and request
 * messages. Each bound allows the most that an honest gateway needs. The service closes a stream above a bound, or its
 * connection.
 *
 * Limits of users and of the whole load do not belong here, but in `src/overload/`.
 */
import type { ServerOptions } from 'node:http2';

/**
 * The maximum number of calls that a connection may have at once. A gateway sends the calls of all its users
 * over few connections. Node's default is 2^32 - 1, which would let a single connection take all memory.
 */
export const STREAMS_PER_CONNECTION_MAX = 1_000;

/**
 * A stranger is an HTTP/2 connection on which no call was accepted yet. If there are more than STRANGERS_FEW strangers,
 * each further stranger may have only STRANGER_STREAMS_MAX streams at once, until a call on it is accepted. Node
 * handles all streams that it has read from all connections before it frees any stream: 500 strangers with 1,000
 * requests for `/livez` each exhausted the heap of the process. Clients assume a limit of 100 until they know the
 * limit, and RFC 9113, 6.5.2 recommends at least 100.
 */
export const STRANGERS_FEW = 4;
export const STRANGER_STREAMS_MAX = 100;

/**
 * The maximum number of connections of each port. A gateway has a handful of connections over HTTP/2, and a
 * connection for each call under way over HTTP/1. An idle connection costs about 50 kB, so the idle
 * connections of both ports together take about 100 MB at most. Node itself sets no limit.
 */
export const CONNECTIONS_MAX = 1_000;

/**
 * The maximum size of all headers of a request. It leaves room for a user id, a token, a trace, and the
 * headers that proxies add. Node's default is 16 KiB too.
 */
export const HEADERS_MAX_BYTES = 16 * 1024;

/**
 * The maximum number of headers of a request. Proxies add about thirty headers. By default, Node silently
 * drops all headers after the 2,000th over HTTP/1.
 */
export const HEADERS_MAX_COUNT = 100;

/**
 * The maximum time from the first byte of a request to its last byte. A gateway in the same network sends
 * 1 MiB in a hundredth of this time. REQUEST_TIMEOUT_MS also limits the time until a connection sends its
 * first byte, and the time that a response may wait for a client that does not read.
 */
export const REQUEST_TIMEOUT_MS = 5_000;

/**
 * A connection without a call for this long is closed, over HTTP/2 with a GOAWAY. The time is longer than
 * the idle time-out of gateways (nginx and AWS's load balancers: 60 s), so that the gateway closes first. If
 * the service closed first, the gateway could already have sent a call, and this call would fail.
 */
export const IDLE_TIMEOUT_MS = 300_000;

/**
 * gRPC connections are pinged after this interval and closed when the ping is not answered within
 * PING_TIMEOUT_MS. The pings find peers whose machine died, because a dead machine sends no FIN.
 */
export const PING_INTERVAL_MS = 60_000;
export const PING_TIMEOUT_MS = 20_000;

/**
 * An HTTP/1 socket with a call under way is closed when no byte moves on it for this long. While the service
 * works on a call, no byte moves. So this time is longer than the longest call (30 s).
 */
export const STALLED_SOCKET_TIMEOUT_MS = 60_000;

/**
 * The maximum number of bytes that a client may send on a stream before the service has read any of them. A
 * message of MESSAGE_MAX_BYTES (`message-limits.ts`) with its prefix fits, so an ordinary request needs no
 * WINDOW_UPDATE. HTTP/2's default of 65,535 bytes lets the 1,000 streams of a connection occupy 64 MB before
 * the service looks at a single request.
 */
const STREAM_WINDOW_BYTES = 20 * 1024;

/** The options of the HTTP/2 servers of the gRPC port and of the HTTP port. */
export const HTTP2_OPTIONS = {
  settings: {
    maxConcurrentStreams: STREAMS_PER_CONNECTION_MAX,
    maxHeaderListSize: HEADERS_MAX_BYTES,
    initialWindowSize: STREAM_WINDOW_BYTES,
  },
  maxHeaderListPairs: HEADERS_MAX_COUNT,
  /**
   * The maximum memory of a connection in MB, for its streams and the responses that the client has not read
   * yet. 1,000 responses with 100 files each take 30 MB together. A connection above this limit gets no new
   * streams. grpc-js by itself sets no limit. Node's default of 10 MB would suffice for only 330 such
   * responses.
   */
  maxSessionMemory: 32,
  /**
   * The number of streams that a client may reset (CVE-2023-44487): at first as many as a connection can
   * have at the same time, then `streamResetRate` per second. A connection above this limit is closed.
   * Node's default of 33 per second is too low for an honest gateway, which resets streams whose deadlines
   * have passed. During a flood of resets, a busy core handles only 1,000 resets per second, so a rate of
   * 1,000 would never take effect.
   */
  streamResetBurst: STREAMS_PER_CONNECTION_MAX,
  streamResetRate: 100,
} satisfies ServerOptions;

/**
 * The maximum number of requests on one listening port whose callers have not authenticated as a gateway (health,
 * reflection, pages such as `/livez`, refused calls). A request counts until it is answered and the client has read the
 * answer. Above this limit, the oldest request is aborted, together with its connection if no call on that connection
 * was ever accepted. A request of an honest client ends within milliseconds, so honest clients do not have 1,000 such
 * requests open at once. Each request may hold 16 KiB. Without this limit, 9,000 unread answers took 140 MB, and 9,000
 * unread answers of /metrics 400 MB.
 */
export const UNPROVEN_REQUESTS_MAX = 1_000;

/**
 * The maximum number of such requests that one port serves in PERIOD_MS. All open connections have equal shares, but at
 * least UNPROVEN_PER_CONNECTION_MIN requests each. Connections on which a call was accepted have no such limit. An
 * orchestrator or a scraper sends a few requests per second. A request takes 40 to 200 µs. Without this limit, 1,000
 * connections with 1,000 health checks each grew the process by 440 MB, and `/livez` waited for 4 s.
 */
export const PERIOD_MS = 100;
export const UNPROVEN_PER_PERIOD_MAX = 3_000;
export const UNPROVEN_PER_CONNECTION_MIN = 5;

/**
 * The maximum number of requests that an HTTP/1.1 connection may have open at once. A further request closes
 * the connection. Clients may send requests before earlier ones are answered (pipelining, RFC 9112, 9.3.2),
 * but in practice they wait for each answer. Node handles all requests of one read of 64 KiB before it does
 * anything else: 2,000 requests `GET /livez` blocked the service for 200 to 500 ms.
 */
export const PIPELINED_REQUESTS_MAX = 16;

/**
 * The maximum number of open streams of a connection. There are two kinds of streams: health Watch and reflection. A
 * client needs one stream of each kind, and a second one of the kind while it reopens a stream: four at most.
 */
export const OPEN_STREAMS_PER_CONNECTION_MAX = 4;

/**
 * The maximum number of open streams of a port: one Watch for each of CONNECTIONS_MAX connections. A further
 * stream ends the oldest stream, whose client reopens it.
 */
export const OPEN_STREAMS_MAX = 1_000;

/**
 * The maximum age of an open stream, plus or minus a random tenth. A client that still needs the stream
 * opens another; gRPC's client-side health checking does so at once. Without a maximum age, streams that
 * clients have forgotten would never end.
 */
export const OPEN_STREAM_LIFE_MS = 1_800_000;
