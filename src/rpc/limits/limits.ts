import type { ServerOptions } from 'node:http2';

/**
 * What a peer may take, on either wire. Each limit has room for the most that an
 * honest gateway needs, and closes what goes beyond: a stream, else its connection.
 */

/**
 * How many calls one connection may have at once. A gateway multiplexes all its
 * users over few connections; Node's own limit is 2^32 - 1, which lets one
 * connection ask for all memory there is.
 */
export const STREAMS_PER_CONNECTION_MAX = 1_000;

/**
 * Of each port. Gateways have a handful over HTTP/2, and one for each call under
 * way over HTTP/1. An idle one costs some 50 kB, so that all together stay below
 * 100 MB; Node itself sets no limit.
 */
export const CONNECTIONS_MAX = 1_000;

/** A user id, a token, a trace, and what proxies add. Node's own default is 16 KiB too. */
export const HEADERS_MAX_BYTES = 16 * 1024;

/** Proxies add about thirty. Over HTTP/1, Node by itself drops what comes after the 2,000th, silently. */
export const HEADERS_MAX_COUNT = 100;

/**
 * By when a request has to be here as a whole, from its first byte to its last:
 * a gateway in the same network sends 1 MiB in a hundredth of this. Also how long
 * a connection may take until it speaks, and how long an answer may wait for a
 * reader that stands still.
 */
export const REQUEST_TIMEOUT_MS = 5_000;

/**
 * A connection without a call for so long is closed, over HTTP/2 with a GOAWAY.
 * Longer than gateways keep theirs (nginx and AWS's balancers: 60 s): whoever
 * closes first must not be the one who cannot know that a call is on its way.
 */
export const IDLE_TIMEOUT_MS = 300_000;

/** Without an answer to a ping for so long, a peer is gone: machines that die send no FIN. */
export const PING_INTERVAL_MS = 60_000;
export const PING_TIMEOUT_MS = 20_000;

/**
 * An HTTP/1 socket that moves no byte for so long, with a call under way. Longer
 * than the longest call (30 s), during which nothing moves.
 */
export const STALLED_SOCKET_TIMEOUT_MS = 60_000;

/** The same for the HTTP/2 servers of both ports. */
export const HTTP2_OPTIONS = {
  settings: { maxConcurrentStreams: STREAMS_PER_CONNECTION_MAX, maxHeaderListSize: HEADERS_MAX_BYTES },
  maxHeaderListPairs: HEADERS_MAX_COUNT,
  /**
   * MB that one connection may occupy: its streams, and the answers that it has
   * not read yet. 1,000 lists of 100 files are 30 MB. Beyond that it gets no new
   * stream; grpc-js would take any number, and Node's default of 10 is 330 lists.
   */
  maxSessionMemory: 32,
  /**
   * Streams that a client may reset (CVE-2023-44487): all that it can have at once,
   * and then so many a second; beyond that its connection is closed. Node's default
   * of 33 a second is less than an honest gateway may reset whose own deadlines
   * pass; 1,000 a second is all that a busy core gets to see of a flood.
   */
  streamResetBurst: STREAMS_PER_CONNECTION_MAX,
  streamResetRate: 100,
} satisfies ServerOptions;

/**
 * Requests without proof (health, reflection, pages, refused calls) of a port that are not answered yet, or whose answer
 * was not read. Each is over within milliseconds, so a thousand are never honest; each may hold 16 KiB. Without this
 * limit, 9,000 unread answers took 140 MB, and those of /metrics 400 MB.
 */
export const UNPROVEN_REQUESTS_MAX = 1_000;

/**
 * Requests that an HTTP/1.1 connection may have open at once; one more closes it. Clients wait for each answer, though
 * they need not (RFC 9112, 9.3.2). Node handles all requests that it reads at once before it does anything else: 64 KiB
 * of them, 2,000 of `GET /livez`, held up everything for 200 to 500 ms.
 */
export const PIPELINED_REQUESTS_MAX = 16;

/** Open streams (health Watch, reflection) of one connection: a client needs one of each, and another while it moves. */
export const OPEN_STREAMS_PER_CONNECTION_MAX = 4;

/** Of a port: one Watch for each connection that there may be. Beyond that the oldest ends, and its client opens another. */
export const OPEN_STREAMS_MAX = 1_000;

/**
 * The life of an open stream, give or take a tenth. A client that still wants it opens another, which gRPC's own health
 * checking does at once; one that is forgotten somewhere ends.
 */
export const OPEN_STREAM_LIFE_MS = 1_800_000;
