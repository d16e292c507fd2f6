import type { RequestListener, ServerResponse } from 'node:http';
import { status } from '@grpc/grpc-js';
import { type AnswerCall, startGrpcConsumer } from '../../events/grpc-consumer.ts';
import { startHttpConsumer } from '../../events/http-consumer.ts';
import { type Fault, startFaultProxy } from '../../harness/fault-proxy.ts';

/** The ways in which a consumer fails. `none`: it takes each event at once. */
export type Failure =
  | 'none'
  | 'refuses connections'
  | 'accepts connections and sends nothing'
  | 'answers an error'
  | 'answers each event after 3 s'
  | 'redirects'
  | 'answers 200 with a megabyte of garbage';

const SLOW_ANSWER_MS = 3_000;

/** A consumer behind a proxy, so that its connections can fail, too. */
export interface FailingConsumer extends AsyncDisposable {
  readonly url: URL;
  /** Deliveries that have reached the consumer. */
  readonly deliveries: number;
  /** Requests that followed a redirect. */
  readonly redirected: number;
  set(failure: Failure): Promise<void>;
}

const NETWORK_FAULTS: Partial<Record<Failure, Fault>> = {
  'refuses connections': { kind: 'refused' },
  'accepts connections and sends nothing': { kind: 'hanging' },
};

export async function startFailingHttpConsumer(): Promise<FailingConsumer> {
  let failure: Failure = 'none';
  const elsewhere = await startHttpConsumer();
  const garbage = Buffer.alloc(1_000_000, '\xff\x00{"');
  const answers: Partial<Record<Failure, (response: ServerResponse) => unknown>> = {
    'answers an error': (response) => response.writeHead(500).end('failed'),
    'answers each event after 3 s': (response) => setTimeout(() => response.end(), SLOW_ANSWER_MS).unref(),
    redirects: (response) => response.writeHead(307, { location: elsewhere.url.href }).end(),
    'answers 200 with a megabyte of garbage': (response) => response.end(garbage),
  };
  const answer: RequestListener = (_, response) => (answers[failure] ?? (() => response.end()))(response);
  const consumer = await startHttpConsumer(answer);
  const proxy = await startFaultProxy({ port: Number(consumer.url.port) });
  return {
    url: new URL(`http://127.0.0.1:${proxy.port}/events`),
    get deliveries() {
      return consumer.received.length;
    },
    get redirected() {
      return elsewhere.received.length;
    },
    async set(next) {
      failure = next;
      await proxy.set(NETWORK_FAULTS[next] ?? { kind: 'none' });
    },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await consumer[Symbol.asyncDispose]();
      await elsewhere[Symbol.asyncDispose]();
    },
  };
}

export async function startFailingGrpcConsumer(): Promise<FailingConsumer> {
  let failure: Failure = 'none';
  const answers: Partial<Record<Failure, AnswerCall>> = {
    'answers an error': (_, answer) => answer(status.INTERNAL, 'failed'),
    'answers each event after 3 s': (_, answer) =>
      setTimeout(() => answer(status.OK), SLOW_ANSWER_MS).unref(),
  };
  const ok: AnswerCall = (_, answer) => answer(status.OK);
  const consumer = await startGrpcConsumer((call, answer) => (answers[failure] ?? ok)(call, answer));
  const proxy = await startFaultProxy({ port: consumer.port });
  return {
    url: new URL(`grpc://127.0.0.1:${proxy.port}`),
    get deliveries() {
      return consumer.received.length;
    },
    redirected: 0,
    async set(next) {
      failure = next;
      await proxy.set(NETWORK_FAULTS[next] ?? { kind: 'none' });
    },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await consumer[Symbol.asyncDispose]();
    },
  };
}
