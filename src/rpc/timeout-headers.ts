import type { IncomingHttpHeaders } from 'node:http';

/**
 * A deadline far in the future is shortened, not refused, and a malformed one is the caller's error. Connect refuses
 * what does not fit into 32 bits.
 */

/** What Connect takes at most: 24 days. The policy of the calls clamps to far less. */
const CONNECT_MAX_MS = 2 ** 31 - 1;

const UNITS_MS = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/**
 * In whole ms: Go names microseconds, and what comes after takes no fractions of a
 * millisecond. NaN where it is none (gRPC over HTTP2, "Timeout").
 */
export function readGrpcTimeout(value: unknown): number {
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
