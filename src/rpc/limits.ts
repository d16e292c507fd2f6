/**
 * The largest message that either wire takes. The largest honest one has the
 * MD5s of 10,000 parts (180 kB); connect-node's own limit is about 4 GiB.
 */
export const MESSAGE_MAX_BYTES = 1024 * 1024;
