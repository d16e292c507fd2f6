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

/** Longer than any part of a deploy: a call that fails was failed, and not given up. */
const CALL_TIMEOUT_MS = 20_000;

export interface Caller extends Disposable {
  readonly unary: Unary;
}

/** As a client should be set: see "During deploys" in proto/README.md. */
const CHANNEL_OPTIONS = {
  'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
  // An instance is back within seconds; the defaults, of 1 s to 2 min, are for servers that stay away.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
};

/**
 * On grpc-js, whose channel balances, reconnects, and sends once more what no server has begun; connect-node's own gRPC
 * does none of that. Its calls wait for a connection (`wait_for_ready`); it has no policy of retries.
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

/** Connect, each call to the instance that the load balancer would choose now. It sends nothing twice. */
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
