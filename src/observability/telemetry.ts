import { context, ProxyTracer, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { type DestinationStream, type Logger, pino, stdSerializers, stdTimeFunctions } from 'pino';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/**
 * How the service is watched: a log of what deserves one, metrics for
 * Prometheus, and spans for whichever OpenTelemetry SDK was started with
 * `--import`; without one they cost next to nothing.
 */

/** What must never be in a log: credentials in URLs, signatures, tokens. */
const SECRETS: readonly [RegExp, string][] = [
  // In a URL, in an Authorization header, as a header of its own, and in JSON of any of them.
  [/((?:Signature|Credential|Security-Token)["']?\s*[=:]\s*["']?)[^&\s"',<]+/gi, '$1[redacted]'],
  [/((?:postgres|postgresql|http|https):\/\/[^:@/\s]+:)[^@\s]+@/gi, '$1[redacted]@'],
];

/** By name, wherever somebody logs an object that has them. */
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

export function redact(text: string): string {
  return SECRETS.reduce((redacted, [pattern, replacement]) => redacted.replace(pattern, replacement), text);
}

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

/** The error and its causes; not what drivers hang on them, which is whole requests. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return redact(String(error));
  const { code, reason } = error as { code?: unknown; reason?: unknown };
  return {
    type: stdSerializers.err(error).type,
    message: redact(error.message),
    stack: redact(error.stack ?? ''),
    ...(code !== undefined && { code }),
    ...(reason !== undefined && { reason }),
    ...(error.cause !== undefined && { cause: serializeError(error.cause) }),
  };
}

// From a cached plan on the same host to a list that waits for S3.
const CALL_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    calls: new Counter({
      name: 'files_calls_total',
      help: 'Calls answered, by method, gRPC code and reason.',
      labelNames: ['method', 'code', 'reason'],
      registers,
    }),
    callSeconds: new Histogram({
      name: 'files_call_duration_seconds',
      help: 'Time from the decoded request to the answer.',
      labelNames: ['method', 'code'],
      buckets: CALL_BUCKETS_SECONDS,
      registers,
    }),
    storageCalls: new Counter({
      name: 'files_s3_calls_total',
      help: 'Calls to S3, by operation and outcome.',
      labelNames: ['operation', 'outcome'],
      registers,
    }),
    storageSeconds: new Histogram({
      name: 'files_s3_call_duration_seconds',
      help: 'Time of a call to S3, retries included.',
      labelNames: ['operation'],
      buckets: CALL_BUCKETS_SECONDS,
      registers,
    }),
    swept: new Counter({
      name: 'files_swept_total',
      help: 'Rows that the sweeper brought a step further, by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    oldestOverdueSeconds: new Gauge({
      name: 'files_oldest_overdue_seconds',
      help: 'By how much the oldest due row is late. It grows when the sweeper cannot keep up.',
      registers,
    }),
    contentMismatches: new Counter({
      name: 'files_content_mismatches_total',
      help: 'Objects that were not what was announced: somebody else wrote into the bucket, or a client added a Content-Encoding to its PUT.',
      registers,
    }),
    strayErrors: new Counter({
      name: 'files_stray_errors_total',
      help: 'Errors that no call has caught. Each is a bug; the service goes on.',
      registers,
    }),
    serving: new Gauge({ name: 'files_serving', help: '1 when ready, else 0.', registers }),
    /** Read at each scrape. */
    watchAdmission(admission: { callsUnderWay: number }): void {
      new Gauge({
        name: 'files_calls_under_way',
        help: 'Calls that were let in and have not ended. At MAX_CONCURRENT_CALLS more are refused.',
        registers,
        collect() {
          this.set(admission.callsUnderWay);
        },
      });
    },
    /** Read at each scrape. */
    watchPool(pool: { totalCount: number; idleCount: number }, line: { waiting: number }): void {
      new Gauge({
        name: 'files_postgres_connections',
        help: 'Connections of the pool, by state; `waiting` are statements that wait for one.',
        labelNames: ['state'],
        registers,
        collect() {
          this.set({ state: 'idle' }, pool.idleCount);
          this.set({ state: 'busy' }, pool.totalCount - pool.idleCount);
          this.set({ state: 'waiting' }, line.waiting);
        },
      });
    },
  };
}

const tracer = trace.getTracer('file-service');

/** An SDK has registered itself before this module is loaded. Where none has, no call pays for spans that nobody sees. */
const isTraced = !(tracer instanceof ProxyTracer);

/** A server's span, as a child of the caller's when its metadata names one. */
export function traceCall<Result>(
  method: string,
  caller: { header(name: string): string | undefined; headerNames(): Iterable<string> },
  run: () => Promise<Result>,
): Promise<Result> {
  if (!isTraced) return run();
  const parent = propagation.extract(context.active(), caller, {
    get: (carrier, name) => carrier.header(name),
    keys: (carrier) => [...carrier.headerNames()],
  });
  const attributes = { 'rpc.system': 'grpc', 'rpc.service': 'files.v1.FileService', 'rpc.method': method };
  const options = { kind: SpanKind.SERVER, attributes };
  return tracer.startActiveSpan(`files.v1.FileService/${method}`, options, parent, (span) =>
    ended(span, run),
  );
}

/** A client's span, inside whatever is being done. */
export function traceStep<Result>(name: string, run: () => Promise<Result>): Promise<Result> {
  if (!isTraced) return run();
  return tracer.startActiveSpan(name, { kind: SpanKind.CLIENT }, (span) => ended(span, run));
}

async function ended<Result>(
  span: ReturnType<typeof tracer.startSpan>,
  run: () => Promise<Result>,
): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    // The message may hold what no trace may: the name of the fault says enough.
    const reason = (error as { reason?: string }).reason ?? (error as Error).name;
    span.setStatus({ code: SpanStatusCode.ERROR, message: reason });
    throw error;
  } finally {
    span.end();
  }
}
