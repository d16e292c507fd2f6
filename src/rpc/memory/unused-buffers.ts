/**
 * Frees buffers that are no longer used. The bytes of requests and responses are in buffers outside V8's heap, and V8
 * collects such buffers only after 64 MB of new ones. So 1,000 requests of 16 KiB grew the process by up to 117 MB.
 * This file lets V8 collect young objects after 16 MB of new buffers. `npm run test:resilience` tests this
 * (`test/amplification/crowds.test.ts`).
 *
 * This file does nothing unless Node was started with `--expose-gc`, as `npm start` does.
 */
import type { IncomingMessage } from 'node:http';

const COLLECT_AFTER_BYTES = 16 * 1024 * 1024;

/** The time between two checks of all buffers. Each check takes 15 µs. */
const CHECK_INTERVAL_MS = 20;

/** The bytes of request bodies that have arrived since the last collection. */
let receivedBytes = 0;

/**
 * Counts the bytes of request bodies, and lets V8 collect after COLLECT_AFTER_BYTES. Must be called for each piece of a
 * body, because the checks of `freeUnusedBuffers` come too late for bodies: Node reads up to 2 MB from each connection
 * before any timer runs.
 */
export function noteReceived({ length }: Uint8Array): void {
  receivedBytes += length;
  if (receivedBytes < COLLECT_AFTER_BYTES) return;
  receivedBytes = 0;
  globalThis.gc?.({ type: 'minor' });
}

/**
 * Reads and drops the body of a request that needs no body. Over HTTP/1.1, Node would drop it in the same way, but
 * would not call `noteReceived`. Over HTTP/2, the stream is closed instead (`../http/requests-under-way.ts`).
 */
export function dropBody(request: IncomingMessage): void {
  if (request.httpVersionMajor === 1) request.on('data', noteReceived);
}

/**
 * Checks all buffers every CHECK_INTERVAL_MS, and lets V8 collect when they have grown by COLLECT_AFTER_BYTES.
 *
 * @returns a function that ends the checks
 */
export function freeUnusedBuffers(): () => void {
  const { gc } = globalThis;
  if (gc === undefined) return () => undefined;
  let leastBytes = process.memoryUsage().arrayBuffers;
  const timer = setInterval(() => {
    const { arrayBuffers } = process.memoryUsage();
    if (arrayBuffers - leastBytes < COLLECT_AFTER_BYTES) {
      leastBytes = Math.min(leastBytes, arrayBuffers);
      return;
    }
    gc({ type: 'minor' });
    leastBytes = process.memoryUsage().arrayBuffers;
  }, CHECK_INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}
