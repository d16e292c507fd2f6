import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { toJsonString } from '@bufbuild/protobuf';
import {
  type DeliverFileEventRequest,
  DeliverFileEventRequestSchema,
} from '../../../gen/files/v1/file_events_service_pb.ts';
import { closeIdleConnections } from '../../overload/idle-connections.ts';
import { cloudEventHeaders } from './cloud-event.ts';
import { createSharedLookup } from './shared-lookup.ts';
import {
  ANSWER_MAX_BYTES,
  DELIVERIES_MAX,
  DELIVERY_TIMEOUT_MS,
  type Delivery,
  REASON_MAX_CHARACTERS,
  type Transport,
} from './transport.ts';

/** An idle connection is closed after this time. The consumer may close it earlier. */
const IDLE_CONNECTION_MS = 60_000;

/**
 * An answer whose body has not ended after this time is closed with its connection. The status has decided the outcome
 * before. The delivery waits for the end of the body, so that each delivery has at most one connection.
 *
 * A body that is too long is not read on, and waits for this time, too. So a consumer that answers each event so gets at
 * most DELIVERIES_MAX new connections a second. An event with an answer of 1 MB costs 350 µs of CPU, and another one
 * with an empty answer 80 µs. Without the pause, such a consumer was sent 900 events and connections a second.
 */
const ANSWER_TIMEOUT_MS = 1_000;

/**
 * A consumer may send interim answers (100 Continue, 103 Early Hints) before its answer. Node sets no limit to their
 * number: 32 connections with 1xx without end blocked the event loop for 0.8 s to 3 s.
 */
const INTERIM_ANSWERS_MAX = 16;

/**
 * The transport for `http://` and `https://`. Each event is one POST to the URL as it is given. The POST is a unary call
 * of the Connect protocol and a CloudEvent 1.0 in binary content mode at the same time:
 *
 * - the body is the JSON form of `files.v1.DeliverFileEventRequest`, in UTF-8, with a `content-length`
 * - `content-type: application/json`
 * - `connect-protocol-version: 1`, `connect-timeout-ms: 5000`
 * - `authorization: Bearer EVENTS_TOKEN`, if that is set
 * - the headers of `cloud-event.ts`
 *
 * A status from 200 to 299 is an acknowledgement, whatever the body is. Redirects are not followed, so the token
 * reaches no other host. Connections stay open between deliveries; HTTP/1.0 and `Connection: close` work, too. The
 * certificate of the consumer must be valid for the authorities that Node trusts (NODE_EXTRA_CA_CERTS adds some).
 */
export function createHttpTransport(
  url: URL,
  token: string | undefined,
  timeoutMs = DELIVERY_TIMEOUT_MS,
): Transport {
  const { Agent, request } = url.protocol === 'https:' ? https : http;
  const agent = new Agent({ keepAlive: true, maxFreeSockets: DELIVERIES_MAX, timeout: IDLE_CONNECTION_MS });
  const lookup = createSharedLookup();
  const fixed = {
    'content-type': 'application/json',
    'connect-protocol-version': '1',
    'connect-timeout-ms': String(timeoutMs),
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  };

  return {
    async deliver(message: DeliverFileEventRequest) {
      const body = Buffer.from(toJsonString(DeliverFileEventRequestSchema, message));
      const headers = { ...fixed, ...cloudEventHeaders(message) };
      const end = performance.now() + timeoutMs;
      const post = (connections: http.Agent | false) => {
        const sent = request(url, { method: 'POST', headers, agent: connections, lookup });
        sent.end(body);
        return deliveryOf(sent, end - performance.now());
      };
      const first = await post(agent);
      if (first.outcome === 'unanswered') closeIdleConnections(agent);
      // The consumer may close an idle connection at the moment when an event is sent on it. The event then goes over a
      // new connection at once: the other idle connections may have been closed, too. An event that arrives twice
      // is harmless.
      return first.isStale ? post(false) : first;
    },
    close: () => agent.destroy(),
  };
}

/** Follows a request to its end, however the request ends. */
async function deliveryOf(
  request: ClientRequest,
  timeoutMs: number,
): Promise<Delivery & { isStale: boolean }> {
  let answer: Delivery | undefined;
  let failure: Delivery | undefined;
  const timer = setTimeout(() => {
    failure ??= { outcome: 'unanswered', reason: 'no answer in time' };
    request.destroy();
  }, timeoutMs).unref();
  request.on('response', (response: IncomingMessage) => {
    answer = deliveryOfStatus(response.statusCode ?? 0);
    discard(response);
  });
  let interimAnswers = 0;
  request.on('information', () => {
    if (++interimAnswers <= INTERIM_ANSWERS_MAX) return;
    failure ??= { outcome: 'refused', reason: 'too many interim answers (HTTP status 1xx)' };
    request.destroy();
  });
  request.on('error', (error: NodeJS.ErrnoException) => {
    failure ??= deliveryOfError(error);
  });
  await new Promise<void>((resolve) => request.on('close', resolve));
  clearTimeout(timer);
  const delivery = answer ?? failure ?? { outcome: 'unreachable', reason: 'the connection was closed' };
  const isStale = answer === undefined && delivery.outcome === 'unreachable' && request.reusedSocket;
  return { ...delivery, isStale };
}

function deliveryOfStatus(status: number): Delivery {
  const outcome = status >= 200 && status < 300 ? 'delivered' : 'refused';
  return { outcome, reason: `HTTP status ${status}` };
}

/**
 * An error of Node's HTTP parser means that the consumer answered, but not with HTTP. The message of an error of TLS has
 * all addresses or names in the certificate of the consumer.
 */
function deliveryOfError({ code, message }: NodeJS.ErrnoException): Delivery {
  const outcome = code?.startsWith('HPE_') ? 'refused' : 'unreachable';
  const reason = code === undefined ? message : `${code}: ${message}`;
  return { outcome, reason: reason.slice(0, REASON_MAX_CHARACTERS) };
}

/** Reads the body and drops it, so that the connection can be used again, or closes the connection (ANSWER_TIMEOUT_MS). */
function discard(response: IncomingMessage): void {
  let bytes = 0;
  const timer = setTimeout(() => response.destroy(), ANSWER_TIMEOUT_MS).unref();
  response.on('data', (part: Buffer) => {
    bytes += part.length;
    if (bytes > ANSWER_MAX_BYTES) response.pause();
  });
  response.on('close', () => clearTimeout(timer));
}
