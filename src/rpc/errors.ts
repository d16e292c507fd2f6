import { create, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import type { ErrorReason } from '../../gen/files/v1/error_reason_pb.ts';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { type Status, StatusSchema } from '../../gen/google/rpc/status_pb.ts';
import { CallAbandonedError } from '../files/call.ts';
import { DeadlineExceededError } from '../files/deadline.ts';
import { FileError, RETRY_AFTER_MS, type Reason } from '../files/file-error.ts';
import { OPEN_STREAMS_PER_CONNECTION_MAX } from './limits/limits.ts';

/** The `domain` in the `google.rpc.ErrorInfo` of every error. */
const ERROR_DOMAIN = 'files.v1';

/**
 * Reasons of errors that no operation throws: they concern the request or the call as a whole. All other reasons are
 * in `src/files/file-error.ts`.
 */
type CallReason =
  | 'INVALID_REQUEST'
  | 'MESSAGE_TOO_LARGE'
  | 'UNIMPLEMENTED'
  | 'DEADLINE_EXCEEDED'
  | 'CANCELLED'
  | 'INTERNAL';

/**
 * The gRPC code of each reason. The code tells a caller what to do next (fix the request, retry, sign in). The
 * reason tells why the call failed.
 */
export const CODES = {
  USER_ID_MISSING: Code.Unauthenticated,
  USER_ID_INVALID: Code.Unauthenticated,
  GATEWAY_UNTRUSTED: Code.Unauthenticated,
  INVALID_FILENAME: Code.InvalidArgument,
  INVALID_MIME_TYPE: Code.InvalidArgument,
  INVALID_MD5: Code.InvalidArgument,
  INVALID_SIZE: Code.InvalidArgument,
  FILE_TOO_LARGE: Code.InvalidArgument,
  INVALID_PAGE_SIZE: Code.InvalidArgument,
  INVALID_PAGE_TOKEN: Code.InvalidArgument,
  INVALID_S3_KEY: Code.InvalidArgument,
  INVALID_PARTS: Code.InvalidArgument,
  INVALID_BATCH_SIZE: Code.InvalidArgument,
  FILE_NOT_FOUND: Code.NotFound,
  UPLOAD_INCOMPLETE: Code.FailedPrecondition,
  CONTENT_MISMATCH: Code.FailedPrecondition,
  UPLOAD_COMPLETE: Code.FailedPrecondition,
  TOO_MANY_PENDING_UPLOADS: Code.ResourceExhausted,
  QUOTA_EXCEEDED: Code.ResourceExhausted,
  OVERLOADED: Code.ResourceExhausted,
  DATABASE_UNAVAILABLE: Code.Unavailable,
  STORAGE_UNAVAILABLE: Code.Unavailable,
  STORAGE_REFUSED: Code.FailedPrecondition,
  INVALID_REQUEST: Code.InvalidArgument,
  MESSAGE_TOO_LARGE: Code.ResourceExhausted,
  UNIMPLEMENTED: Code.Unimplemented,
  DEADLINE_EXCEEDED: Code.DeadlineExceeded,
  CANCELLED: Code.Canceled,
  INTERNAL: Code.Internal,
} as const satisfies Record<Reason | CallReason, Code> &
  Record<Exclude<keyof typeof ErrorReason, 'UNSPECIFIED'>, Code>;

/**
 * Maps every error to the error that the caller receives. The message of a FileError is sent unchanged. An
 * unexpected error is sent as `internal error`, because its message may contain internal details of the
 * service.
 */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof DeadlineExceededError) return callError('DEADLINE_EXCEEDED', error.message);
  if (error instanceof CallAbandonedError) return callError('CANCELLED', error.message);
  if (!(error instanceof FileError)) return callError('INTERNAL', 'internal error');

  const { reason, message, metadata, violations, retryAfterMs } = error;
  const connectError = errorOf(reason, message, metadata);
  if (violations.length > 0) addViolations(connectError, violations);
  if (retryAfterMs !== undefined) {
    const retryDelay = {
      seconds: BigInt(Math.floor(retryAfterMs / 1_000)),
      nanos: (retryAfterMs % 1_000) * 1_000_000,
    };
    addDetail(connectError, RetryInfoSchema, { retryDelay });
  }
  return connectError;
}

/** Converts an error to a `google.rpc.Status`, the form of an error inside a response message. */
export function statusOf({ code, rawMessage, details }: ConnectError): Status {
  return create(StatusSchema, {
    code,
    message: rawMessage,
    details: details.map((detail) =>
      'desc' in detail
        ? anyPack(detail.desc, create(detail.desc, detail.value))
        : { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value },
    ),
  });
}

/** @param metadata the values that the message contains, by name, so that programs need not parse the message */
export function callError(
  reason: CallReason,
  message: string,
  metadata: Record<string, string> = {},
): ConnectError {
  return errorOf(reason, message, metadata);
}

function errorOf(reason: keyof typeof CODES, message: string, metadata: Record<string, string>) {
  const error = new ConnectError(message, CODES[reason]);
  addDetail(error, ErrorInfoSchema, { reason, domain: ERROR_DOMAIN, metadata });
  return error;
}

function addViolations(
  error: ConnectError,
  violations: readonly { field: string; message: string; reason: string }[],
): void {
  const fieldViolations = violations.map(({ field, message, reason }) => ({
    field,
    description: message,
    reason,
  }));
  addDetail(error, BadRequestSchema, { fieldViolations });
}

function addDetail<Schema extends DescMessage>(
  { details }: ConnectError,
  desc: Schema,
  value: MessageInitShape<Schema>,
): void {
  details.push({ desc, value: create(desc, value) });
}

/**
 * The error for a request that cannot be read.
 *
 * @param problem the field whose value cannot be read, if a single field is the reason
 */
export function invalidRequest(message: string, problem?: { field: string }): ConnectError {
  const error = callError('INVALID_REQUEST', message);
  if (problem !== undefined) {
    addViolations(error, [{ field: problem.field, message, reason: 'INVALID_REQUEST' }]);
  }
  return error;
}

/** The path of the call is not repeated in the message: a path may have 16 kB. */
export function methodUnknown(): ConnectError {
  return callError('UNIMPLEMENTED', 'the server has no method with this path');
}

/**
 * The error for a gRPC request whose body is not exactly one message. gRPC demands this code (status codes of gRPC,
 * "Request cardinality violation").
 */
export function notOneMessage(): ConnectError {
  return callError('UNIMPLEMENTED', 'the request must be one complete message');
}

/** @param accepted the names of the encodings that the server accepts, separated by commas */
export function encodingUnknown(accepted: string): ConnectError {
  return callError(
    'UNIMPLEMENTED',
    `the encoding of the message is not supported; supported are ${accepted}`,
    {
      supported_encodings: accepted,
    },
  );
}

/**
 * The error for a request message that is larger than the limit of its method (`limits/message-limits.ts`).
 */
export function messageTooLarge(maxBytes: number): ConnectError {
  return callError(
    'MESSAGE_TOO_LARGE',
    `the request message is larger than ${maxBytes} bytes, the limit of this method`,
    { limit_bytes: String(maxBytes) },
  );
}

/** The error for a stream that exceeds the maximum of open streams of its connection (`limits/limits.ts`). */
export function openStreamsTooMany(): ConnectError {
  return overloaded(`a connection may have at most ${OPEN_STREAMS_PER_CONNECTION_MAX} open streams`);
}

/**
 * The error for a request message that exceeds the memory for the messages of all calls (`MESSAGES_MAX_BYTES`
 * in `limits/message-limits.ts`).
 */
export function messagesTooMany(): ConnectError {
  return overloaded('the service has too many request messages in memory; retry');
}

/** The error for a call that exceeds a limit now, and may succeed a moment later. */
export function overloaded(message: string): ConnectError {
  return toConnectError(new FileError('OVERLOADED', message, { retryAfterMs: RETRY_AFTER_MS }));
}
