import dns from 'node:dns';
import type { LookupFunction } from 'node:net';

type Callback = Parameters<LookupFunction>[2];

/**
 * Returns a lookup of the consumer's name that runs once at a time: connections that begin meanwhile share its result.
 *
 * A lookup blocks a thread of libuv until the name server has answered, and libuv runs two lookups at once. With a lookup
 * for each of 32 deliveries, a name server that does not answer for the name of the consumer delays the lookups for S3
 * and Postgres by minutes.
 */
export function createSharedLookup(): LookupFunction {
  let waiting: Callback[] = [];
  return (hostname, options, callback) => {
    waiting.push(callback);
    if (waiting.length > 1) return;
    dns.lookup(hostname, options, (...result) => {
      const callbacks = waiting;
      waiting = [];
      for (const each of callbacks) each(...result);
    });
  };
}
