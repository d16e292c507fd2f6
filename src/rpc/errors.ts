import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { ErrorReason } from '../../gen/files/v1/error_reason_pb.ts';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { DeadlineExceededError } from '../files/deadline.ts';
import { FileError, RETRY_AFTER_MS, type Reason } from '../files/file-error.ts';
import { OPEN_STREAMS_PER_CONNECTION_MAX } from './limits/limits.ts';

/** The `domain` in the `google.rpc.ErrorInfo` of every error. */
export const ERROR_DOMAIN = 'files.v1';

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
} as const satisfies Record<Reason, Code> & Record<Exclude<keyof typeof ErrorReason, 'UNSPECIFIED'>, Code>;

/**
 * Maps every error to the error that the caller receives. The message of a FileError is sent unchanged. An
 * unexpected error is sent as `internal error`, because its message may contain internal details of the
 * service.
 */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof DeadlineExceededError) return new ConnectError(error.message, Code.DeadlineExceeded);
  if (!(error instanceof FileError)) return new ConnectError('internal error', Code.Internal);

  const { reason, message, metadata, field, retryAfterMs } = error;
  const connectError = new ConnectError(message, CODES[reason]);
  connectError.details.push({
    desc: ErrorInfoSchema,
    value: create(ErrorInfoSchema, { reason, domain: ERROR_DOMAIN, metadata }),
  });
  if (field !== undefined) {
    const fieldViolations = [{ field, description: message, reason }];
    connectError.details.push({
      desc: BadRequestSchema,
      value: create(BadRequestSchema, { fieldViolations }),
    });
  }
  if (retryAfterMs !== undefined) {
    const retryDelay = {
      seconds: BigInt(Math.floor(retryAfterMs / 1_000)),
      nanos: (retryAfterMs % 1_000) * 1_000_000,
    };
    connectError.details.push({ desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) });
  }
  return connectError;
}

/**
 * The error for a request message that is larger than the limit of its method (`limits/message-limits.ts`).
 */
export function messageTooLarge(maxBytes: number): ConnectError {
  return new ConnectError(
    `the request message is larger than ${maxBytes} bytes, the limit of this method`,
    Code.ResourceExhausted,
  );
}

/** The error for a stream that exceeds the maximum of open streams of its connection (`limits/limits.ts`). */
export function openStreamsTooMany(): ConnectError {
  return new ConnectError(
    `a connection may have at most ${OPEN_STREAMS_PER_CONNECTION_MAX} open streams`,
    Code.ResourceExhausted,
  );
}

/**
 * The error for a request message that exceeds the memory for the messages of all calls (`MESSAGES_MAX_BYTES`
 * in `limits/message-limits.ts`).
 */
export function messagesTooMany(): ConnectError {
  return toConnectError(
    new FileError('OVERLOADED', 'the service has too many request messages in memory; retry', {
      retryAfterMs: RETRY_AFTER_MS,
    }),
  );
}
