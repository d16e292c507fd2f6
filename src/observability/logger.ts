/**
 * `src/observability/` is how operators see the service: the log (this file), the Prometheus metrics (`metrics.ts`), the
 * OpenTelemetry spans (`tracing.ts`), the record of each call, each call to S3 and each mismatch (`call-log.ts`), and
 * what S3 refuses (`refusals.ts`).
 *
 * A new metric, a new redaction or a new log line about calls belongs here. Code that decides what a caller
 * receives does not: this folder only receives outcomes, and takes types but no running code from `rpc/`.
 */
import { type DestinationStream, type Logger, pino, stdSerializers, stdTimeFunctions } from 'pino';
import { FileError } from '../files/file-error.ts';
import { RefusalError } from '../files/refusal-error.ts';
import { redact } from './redact.ts';

/** Properties that are redacted by their name in every logged object, whatever their value looks like. */
const SECRET_PATHS = [
  'presignedUrl',
  'presigned_url',
  'url',
  'password',
  'headers.authorization',
  'headers["x-gateway-token"]',
  '*.presignedUrl',
  '*.url',
  '*.password',
  '*.headers.authorization',
  '*.headers["x-gateway-token"]',
];

export function createLogger(level: string, destination?: DestinationStream): Logger {
  return pino(
    {
      level,
      timestamp: stdTimeFunctions.isoTime,
      base: null,
      redact: { paths: SECRET_PATHS, censor: '[redacted]' },
      serializers: { err: serializeError },
    },
    destination,
  );
}

/**
 * Logs only these properties of an error and of its causes, because drivers attach whole requests to their errors.
 *
 * A FileError has no stack in the log: it is an expected outcome, and its reason tells more than the place where it was
 * made. A RefusalError also has no cause: its sentence has everything that S3 answered, and what to do. The stack of a
 * DatabaseError, which Postgres has sent, shows nothing but the parser of its driver.
 */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return redact(String(error));
  const { type } = stdSerializers.err(error);
  const message = redact(error.message);
  if (error instanceof RefusalError) return { type, message };
  const { code, reason } = error as { code?: unknown; reason?: unknown };
  return {
    type,
    message,
    ...(hasUsefulStack(error, type) && { stack: redact(error.stack ?? '') }),
    ...(code !== undefined && { code }),
    ...(reason !== undefined && { reason }),
    ...(error.cause !== undefined && { cause: serializeError(error.cause) }),
  };
}

function hasUsefulStack(error: Error, type: string): boolean {
  return !(error instanceof FileError) && type !== 'DatabaseError';
}
