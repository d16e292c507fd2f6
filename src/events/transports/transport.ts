/**
 * `src/events/transports` delivers one event to the consumer: over gRPC (`grpc.ts`) or as one POST over HTTP
 * (`http.ts`, `cloud-event.ts`). What goes over the network, time-outs, and the meaning of an answer belong here. When
 * an event is delivered, and what follows from the outcome, is decided in `src/events`.
 */
import type { DeliverFileEventRequest } from '../../../gen/files/v1/file_events_service_pb.ts';

/**
 * The time from the beginning of a delivery to the consumer's answer. It is part of the contract
 * (`proto/files/v1/file_events_service.proto`).
 */
export const DELIVERY_TIMEOUT_MS = 5_000;

/** The most deliveries that run at the same time. */
export const DELIVERIES_MAX = 32;

/** An answer of the consumer is read up to this size. The content of an answer means nothing. */
export const ANSWER_MAX_BYTES = 64 * 1024;

/** The reason of a delivery has at most this length, because the consumer chooses some of its texts. */
export const REASON_MAX_CHARACTERS = 200;

/**
 * - `delivered`: the consumer answered OK, or over HTTP with a status from 200 to 299
 * - `refused`: the consumer gave another answer; a redirect is one, because redirects are never followed
 * - `unanswered`: the consumer did not answer within DELIVERY_TIMEOUT_MS
 * - `unreachable`: no connection, no TLS, or the connection ended before the answer
 */
export type Outcome = 'delivered' | 'refused' | 'unanswered' | 'unreachable';

export interface Delivery {
  outcome: Outcome;
  /** What happened, for the log. Contains no token. */
  reason: string;
}

export interface Transport {
  /** Delivers an event once, and ends after DELIVERY_TIMEOUT_MS at the latest. Never rejects. */
  deliver(message: DeliverFileEventRequest): Promise<Delivery>;

  /** Closes the connections. To be called when no delivery is running. */
  close(): void;
}
