import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import type { Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import type { LoadBalancer } from './rolling-deploy.ts';

/** Makes one call for a user. */
export type Unary = <In extends DescMessage, Out extends DescMessage>(
  method: DescMethodUnary<In, Out>,
  request: MessageInitShape<In>,
  userId: string,
) => Promise<MessageShape<Out>>;

/**
 * Longer than any step of a deploy, so a failed call was failed by the service and not by its own deadline.
 */
const CALL_TIMEOUT_MS = 20_000;

export interface Caller extends Disposable {
  readonly unary: Unary;
}

/** The channel options that proto/README.md recommends to clients for deploys. */
const CHANNEL_OPTIONS = {
  'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
  // An instance is back within seconds. The defaults of 1 s to 2 min are for servers that are away for long.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
};

/**
 * A caller on grpc-js. Its channel balances, reconnects, and resends calls that no server has begun; the gRPC
 * of connect-node does none of this. Its calls wait for a connection (`wait_for_ready`). It has no retry
 * policy.
 */
export function grpcJsCaller(addresses: readonly string[]): Caller {
  const client = new Client(`ipv4:${addresses.join(',')}`, credentials.createInsecure(), CHANNEL_OPTIONS);
  return {
    unary: (method, request, userId) =>
      new Promise((resolve, reject) => {
        const metadata = new Metadata({ waitForReady: true });
        metadata.set('x-user-id', userId);
        client.makeUnaryRequest(
          `/${method.parent.typeName}/${method.name}`,
          (message: MessageShape<typeof method.input>) => Buffer.from(toBinary(method.input, message)),
          (bytes) => fromBinary(method.output, bytes),
          create(method.input, request),
          metadata,
          { deadline: Date.now() + CALL_TIMEOUT_MS },
          (error, answer) => (error ? reject(error) : resolve(answer as never)),
        );
      }),
    [Symbol.dispose]: () => client.close(),
  };
}

/**
 * A caller on Connect. Each call goes to the instance that the load balancer chooses, and is never retried.
 */
export function connectCaller(httpVersion: '1.1' | '2', balancer: LoadBalancer): Caller {
  const transports = new Map<string, Transport>();
  return {
    async unary(method, request, userId) {
      const baseUrl = balancer.choose();
      const transport = transports.get(baseUrl) ?? createConnectTransport({ baseUrl, httpVersion });
      transports.set(baseUrl, transport);
      const header = { 'x-user-id': userId };
      const { message } = await transport.unary(method, undefined, CALL_TIMEOUT_MS, header, request);
      return message;
    },
    [Symbol.dispose]: () => balancer[Symbol.dispose](),
  };
}
