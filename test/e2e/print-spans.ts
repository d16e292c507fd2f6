/**
 * A minimal tracing SDK. The service loads it with `--import`, as it loads a real SDK. The SDK prints each
 * ended span as one line of JSON, and reads the span of the caller from `traceparent` (W3C Trace Context).
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import {
  type Context,
  type ContextManager,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  type SpanOptions,
  type SpanStatus,
  type TextMapPropagator,
  type Tracer,
  trace,
} from '@opentelemetry/api';

const active = new AsyncLocalStorage<Context>();

const contextManager: ContextManager = {
  active: () => active.getStore() ?? ROOT_CONTEXT,
  with: (inner, run, self, ...args) => active.run(inner, () => run.apply(self, args)),
  bind: (_, target) => target,
  enable: () => contextManager,
  disable: () => contextManager,
};

const propagator: TextMapPropagator = {
  inject: () => undefined,
  fields: () => ['traceparent'],
  extract(outer, carrier, getter) {
    const [, traceId, spanId] = String(getter.get(carrier, 'traceparent')).split('-');
    if (traceId === undefined || spanId === undefined) return outer;
    return trace.setSpanContext(outer, { traceId, spanId, traceFlags: 1, isRemote: true });
  },
};

function startSpan(name: string, options: SpanOptions = {}, outer = context.active()): Span {
  const parent = trace.getSpanContext(outer);
  const spanContext = {
    traceId: parent?.traceId ?? randomBytes(16).toString('hex'),
    spanId: randomBytes(8).toString('hex'),
    traceFlags: 1,
  };
  let status: SpanStatus | undefined;
  const attributes = { ...options.attributes };
  const events: unknown[] = [];
  const span: Span = {
    spanContext: () => spanContext,
    setAttribute: (key, value) => span.setAttributes({ [key]: value }),
    setAttributes: (more) => {
      Object.assign(attributes, more);
      return span;
    },
    addEvent: (...event) => {
      events.push(event);
      return span;
    },
    addLink: () => span,
    addLinks: () => span,
    setStatus: (given) => {
      status = given;
      return span;
    },
    updateName: () => span,
    isRecording: () => true,
    recordException: (exception) => void events.push(inspect(exception)),
    end() {
      const { kind } = options;
      const details = { kind, attributes, status, events };
      const line = { msg: 'span', name, ...spanContext, parent: parent?.spanId, ...details };
      process.stdout.write(`${JSON.stringify(line)}\n`);
    },
  };
  return span;
}

const tracer: Tracer = {
  startSpan,
  startActiveSpan(name: string, ...rest: unknown[]) {
    const run = rest.pop() as (span: Span) => never;
    const [options, outer = context.active()] = rest as [SpanOptions?, Context?];
    const span = startSpan(name, options, outer);
    return context.with(trace.setSpan(outer, span), run, undefined, span);
  },
};

context.setGlobalContextManager(contextManager);
propagation.setGlobalPropagator(propagator);
trace.setGlobalTracerProvider({ getTracer: () => tracer });
