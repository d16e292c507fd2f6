/**
 * `src/rpc/memory/` lets V8 free what requests have used soon after they end: closed HTTP/2 streams (this file), members
 * of sets, and buffers. Without it, a burst of requests grows the process, even if each request is refused at once.
 *
 * Limits of what requests may use do not belong here, but in `src/rpc/limits/`.
 */
import type { ServerHttp2Stream } from 'node:http2';

/**
 * Prepares a stream for its end. An error needs no handling: the stream closes after it, and every cleanup listens for
 * `close`. When the stream has closed, all listeners are dropped, with all that they hold. Node keeps a closed stream
 * until the next collection of old objects, and would keep 3 kB more of each call with it.
 */
export function releaseWhenClosed(stream: ServerHttp2Stream): void {
  stream.on('error', ignore);
  stream.on('close', dropListeners);
}

/** The other listeners for `close` are still called, because Node copies their list before it calls them. */
function dropListeners(this: ServerHttp2Stream): void {
  this.removeAllListeners();
  this.on('error', ignore);
}

function ignore(): void {}
