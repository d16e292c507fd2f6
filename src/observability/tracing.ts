/**
 * Creates spans for the OpenTelemetry SDK that Node loaded with its option `--import`. Without an SDK, the
 * functions of this file only call `run`.
 */
import { context, ProxyTracer, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';

const tracer = trace.getTracer('file-service');

/**
 * Whether an SDK is present. An SDK registers itself before this module is loaded. Without an SDK, no spans are
 * created, because creating a span costs CPU even if the span is never exported.
 */
const isTraced = !(tracer instanceof ProxyTracer);

/**
 * Runs a call in a server span. The span is a child of the caller's span if the call's metadata names a span.
 */
export function traceCall<Result>(
  method: string,
  { headers }: { headers: object },
  run: () => Promise<Result>,
): Promise<Result> {
  if (!isTraced) return run();
  const parent = propagation.extract(context.active(), headers);
  const attributes = { 'rpc.system': 'grpc', 'rpc.service': 'files.v1.FileService', 'rpc.method': method };
  const options = { kind: SpanKind.SERVER, attributes };
  return tracer.startActiveSpan(`files.v1.FileService/${method}`, options, parent, (span) =>
    ended(span, run),
  );
}

/** Runs a step, such as a call to S3, in a client span under the current span. */
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
    // The error's message may contain keys and filenames, which must not be in a trace. So the span gets only
    // the error's reason or name.
    const reason = (error as { reason?: string }).reason ?? (error as Error).name;
    span.setStatus({ code: SpanStatusCode.ERROR, message: reason });
    throw error;
  } finally {
    span.end();
  }
}
