import type { IncomingHttpHeaders } from 'node:http';
import type { Http2Server } from 'node:http2';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Metadata } from '@grpc/grpc-js';

/**
 * A deadline far in the future is clamped, not refused, and one that cannot be
 * read is the caller's fault. Connect refuses what does not fit into 32 bits;
 * grpc-js cuts it to 32 bits, so that `99999999H` may have passed at once, and
 * answers INTERNAL where it cannot read.
 */

/** What Connect takes at most: 24 days. The policy of the calls clamps to far less. */
const CONNECT_MAX_MS = 2 ** 31 - 1;

const UNITS_MS = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/**
 * In whole ms: Go names microseconds, and what comes after takes no fractions of a
 * millisecond. NaN where it is none (gRPC over HTTP2, "Timeout").
 */
function readGrpcTimeout(value: unknown): number {
  const text = String(value);
  if (!/^\d{1,8}[HMSmun]$/.test(text)) return Number.NaN;
  return Math.floor(Number(text.slice(0, -1)) * UNITS_MS[text.at(-1) as keyof typeof UNITS_MS]);
}

/** So that Connect takes the request, with the longest deadline that it knows. */
export function clampTimeouts(headers: IncomingHttpHeaders): void {
  if (readGrpcTimeout(headers['grpc-timeout']) > CONNECT_MAX_MS)
    headers['grpc-timeout'] = `${Math.floor(CONNECT_MAX_MS / 1_000)}S`;
  if (Number(headers['connect-timeout-ms']) > CONNECT_MAX_MS)
    headers['connect-timeout-ms'] = `${CONNECT_MAX_MS}`;
}

/** Nobody else's: what a client sends by this name is overwritten. */
const DEADLINE = 'grpc-deadline';

/** Takes the time-out past grpc-js, as the time when it ends. */
export function passDeadlines(server: Http2Server): void {
  server.prependListener('stream', (_, headers) => {
    const timeout = headers['grpc-timeout'];
    if (headers[DEADLINE] !== undefined) delete headers[DEADLINE];
    if (timeout === undefined) return;
    delete headers['grpc-timeout'];
    headers[DEADLINE] = `${Date.now() + readGrpcTimeout(timeout)}`;
  });
}

/** What is left of a passed deadline, in ms; undefined where the caller named none. @throws ConnectError INVALID_ARGUMENT */
export function timeLeft(metadata: Metadata): number | undefined {
  const [deadline] = metadata.get(DEADLINE);
  if (deadline === undefined) return undefined;
  const leftMs = Number(deadline) - Date.now();
  if (Number.isNaN(leftMs)) throw new ConnectError('malformed grpc-timeout', Code.InvalidArgument);
  return leftMs;
}
