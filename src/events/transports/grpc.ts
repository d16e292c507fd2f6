import { createSecureContext } from 'node:tls';
import { toBinary } from '@bufbuild/protobuf';
import {
  type ChannelCredentials,
  Client,
  type ClientOptions,
  credentials,
  Metadata,
  status,
} from '@grpc/grpc-js';
import {
  type DeliverFileEventRequest,
  DeliverFileEventRequestSchema,
  FileEventsService,
} from '../../../gen/files/v1/file_events_service_pb.ts';
import { CALM_ROUND_ROBIN } from './calm-connecting.ts';
import { ClosingCredentials } from './closing-connections.ts';
import {
  ANSWER_MAX_BYTES,
  DELIVERY_TIMEOUT_MS,
  type Delivery,
  type Outcome,
  REASON_MAX_CHARACTERS,
  type Transport,
} from './transport.ts';

const PATH = `/${FileEventsService.typeName}/${FileEventsService.method.deliverFileEvent.name}`;

/**
 * After this many failures in a row, a delivery that runs alone gets a new channel. A new channel resolves the name
 * again and connects at once. The old channel may wait before it connects again, may hold a connection over which no
 * packet arrives any more (TCP notices that after minutes), or may know addresses of yesterday.
 */
const FAILURES_PER_CHANNEL = 3;

const CHANNEL_OPTIONS: ClientOptions = {
  // All addresses of the name get events in turn.
  'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ [CALM_ROUND_ROBIN]: {} }] }),
  // Otherwise a TXT record of the name could replace this configuration.
  'grpc.service_config_disable_resolution': 1,
  'grpc.max_receive_message_length': ANSWER_MAX_BYTES,
  // If one of several addresses stops to answer, a ping notices that its connection is dead.
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.initial_reconnect_backoff_ms': 500,
  'grpc.max_reconnect_backoff_ms': 2_000,
  // grpc-js would otherwise read `http_proxy` from the environment. The HTTP transport uses no proxy either.
  'grpc.enable_http_proxy': 0,
};

/**
 * The transport for `grpc://` and `grpcs://`. Each event is a unary call of
 * `files.v1.FileEventsService/DeliverFileEvent` with a deadline of 5 s (header `grpc-timeout`) and, if EVENTS_TOKEN is
 * set, the metadata `authorization: Bearer EVENTS_TOKEN`. The status OK is an acknowledgement, whatever the message is.
 * UNAVAILABLE counts as `unreachable`, because grpc-js reports a failed connection so. With `grpcs://`, the certificate
 * of the consumer must be valid for the authorities that Node trusts (NODE_EXTRA_CA_CERTS adds some).
 */
export function createGrpcTransport(
  url: URL,
  token: string | undefined,
  timeoutMs = DELIVERY_TIMEOUT_MS,
): Transport {
  const metadata = new Metadata();
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  const security = channelCredentials(url);
  let channel = openChannel(url, security);
  let failuresInARow = 0;
  let underWay = 0;

  function renewChannel(): void {
    channel.close();
    channel = openChannel(url, security);
  }

  return {
    async deliver(message: DeliverFileEventRequest) {
      if (underWay === 0 && failuresInARow >= FAILURES_PER_CHANNEL) renewChannel();
      underWay++;
      const delivery = await call(channel.client, message, metadata, Date.now() + timeoutMs).finally(
        () => underWay--,
      );
      const isAnswered = delivery.outcome === 'delivered' || delivery.outcome === 'refused';
      failuresInARow = isAnswered ? 0 : failuresInARow + 1;
      return { ...delivery, reason: withoutToken(delivery.reason, token) };
    },
    close: () => channel.close(),
  };
}

function openChannel(url: URL, security: ChannelCredentials) {
  const closing = new ClosingCredentials(security);
  const client = new Client(`dns:///${url.host}`, closing, CHANNEL_OPTIONS);
  return {
    client,
    close() {
      client.close();
      closing.closeConnections();
    },
  };
}

/**
 * Sends one call. The outcome comes from the status that the consumer sent. The callback of grpc-js instead reports an
 * error if the consumer sent OK without a message.
 */
async function call(
  client: Client,
  message: DeliverFileEventRequest,
  metadata: Metadata,
  deadline: number,
): Promise<Delivery> {
  const { promise, resolve } = Promise.withResolvers<Delivery>();
  const sent = client.makeUnaryRequest(
    PATH,
    toBytes,
    ignoreBytes,
    message,
    metadata,
    { deadline },
    ignoreResult,
  );
  sent.on('status', ({ code, details }) =>
    resolve({ outcome: OUTCOMES[code] ?? 'refused', reason: reasonOf(code, details) }),
  );
  return promise;
}

/** The outcome for each status that does not mean `refused`. */
const OUTCOMES: Partial<Record<status, Outcome>> = {
  [status.OK]: 'delivered',
  [status.DEADLINE_EXCEEDED]: 'unanswered',
  [status.UNAVAILABLE]: 'unreachable',
};

function toBytes(message: DeliverFileEventRequest): Buffer {
  return Buffer.from(toBinary(DeliverFileEventRequestSchema, message));
}

/** grpc-js writes `No connection established. Last error:` up to twice before the cause. The log has room for the cause. */
function reasonOf(code: status, details: string): string {
  const cause = details.replace(/^(round_robin: )?(No connection established\. Last error: )+/, '');
  return `gRPC status ${status[code]}: ${cause}`;
}

/** The content of the answer means nothing, so bytes that are no message do no harm. */
function ignoreBytes(): object {
  return {};
}

function ignoreResult(): void {}

/** Node's own secure context, so that gRPC trusts the same authorities as HTTP. grpc-js has variables of its own. */
function channelCredentials({ protocol }: URL): ChannelCredentials {
  return protocol === 'grpc:'
    ? credentials.createInsecure()
    : credentials.createFromSecureContext(createSecureContext());
}

/** The details of a status are a text of the consumer. A consumer may repeat the token in it. */
function withoutToken(reason: string, token: string | undefined): string {
  const text = token === undefined ? reason : reason.replaceAll(token, '[redacted]');
  return text.slice(0, REASON_MAX_CHARACTERS);
}
