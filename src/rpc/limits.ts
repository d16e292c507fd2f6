/**
 * The largest message that either wire takes. The largest honest one has the
 * MD5s of 10,000 parts (180 kB); connect-node's own limit is about 4 GiB.
 */
export const MESSAGE_MAX_BYTES = 1024 * 1024;

/**
 * How many calls one connection may have at once. A gateway multiplexes all its
 * users over few connections; Node's own limit is 2^32 - 1, which lets one
 * connection ask for all memory there is.
 */
export const STREAMS_PER_CONNECTION_MAX = 1_000;
