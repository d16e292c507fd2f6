import type { IncomingHttpHeaders } from 'node:http';

const UNITS_MS = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/**
 * Removes the time-out from a request's headers and returns it. So grpc-js and connect-node see no time-out, and the
 * call gate (`call-gate.ts`) enforces it. grpc-js would cut a time-out in the far future to 32 bits and answer INTERNAL
 * to a malformed time-out. connect-node would refuse a time-out above its maximum instead of shortening it.
 *
 * @returns whole milliseconds; `undefined` without a time-out, NaN for a malformed time-out
 */
export function takeTimeout(headers: IncomingHttpHeaders): number | undefined {
  const { 'grpc-timeout': grpc, 'connect-timeout-ms': connect } = headers;
  if (grpc === undefined && connect === undefined) return undefined;
  delete headers['grpc-timeout'];
  delete headers['connect-timeout-ms'];
  return grpc === undefined ? readConnectTimeout(String(connect)) : readGrpcTimeout(String(grpc));
}

/**
 * Reads a time-out in the format of the specification "gRPC over HTTP2", "Timeout". Rounds down to milliseconds,
 * because Go clients send microseconds, but timers take whole milliseconds.
 */
function readGrpcTimeout(text: string): number {
  if (!/^\d{1,8}[HMSmun]$/.test(text)) return Number.NaN;
  return Math.floor(Number(text.slice(0, -1)) * UNITS_MS[text.at(-1) as keyof typeof UNITS_MS]);
}

/** Reads a time-out in the format of the Connect Protocol Reference, "Connect-Timeout-Ms". */
function readConnectTimeout(text: string): number {
  return /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
}
