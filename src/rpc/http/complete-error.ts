import type { DescField, DescMessage, DescMethod } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { createAsyncIterable, type UniversalServerResponse } from '@connectrpc/connect/protocol';
import { errorFromJsonBytes } from '@connectrpc/connect/protocol-connect';
import { findTrailerError } from '@connectrpc/connect/protocol-grpc';
import { trailerFlag, trailerParse } from '@connectrpc/connect/protocol-grpc-web';
import { ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { callError, invalidRequest } from '../errors.ts';
import { MESSAGE_PREFIX_BYTES } from '../limits/message-limits.ts';

/** The maximum length of a text of connect-node. A longer text is cut, because it can repeat parts of the request. */
const TEXT_MAX_CHARACTERS = 200;

/**
 * Replaces an error that connect-node made because it could not read a request. Every error of this service has an
 * ErrorInfo (`../errors.ts`), so an error without an ErrorInfo comes from connect-node. Returns the error to send
 * instead, or the answer if it needs no change.
 *
 * Whether an answer is an error follows from its status (Connect), its trailers (gRPC), or the first byte of its body
 * (gRPC-Web).
 */
export async function completeError(
  answer: UniversalServerResponse,
  method: DescMethod,
): Promise<UniversalServerResponse | ConnectError> {
  const { trailer, header, body } = answer;
  if (trailer !== undefined) return completed(findTrailerError(trailer), method) ?? answer;
  if (body === undefined || header === undefined) return answer;
  if (header.get('content-type')?.startsWith('application/grpc-web')) return ofGrpcWeb(answer, body, method);
  if (answer.status === 200) return answer;
  // Errors of this service are too small to be compressed. So connect-node made this error, and it is replaced unread.
  if (header.has('content-encoding')) return invalidRequest('the request cannot be read');
  // The body of an error is one chunk.
  const { value: bytes = new Uint8Array() } = await body[Symbol.asyncIterator]().next();
  const error = errorFromJsonBytes(bytes, undefined, new ConnectError('', Code.Unknown));
  return completed(error, method) ?? { ...answer, body: createAsyncIterable([bytes]) };
}

/** Does this for gRPC-Web, whose trailers are in the body. If no message precedes them, they are the first chunk. */
async function ofGrpcWeb(
  answer: UniversalServerResponse,
  body: AsyncIterable<Uint8Array>,
  method: DescMethod,
): Promise<UniversalServerResponse | ConnectError> {
  const rest = body[Symbol.asyncIterator]();
  const first = await rest.next();
  if (first.done === true) return answer;
  const chunk = first.value;
  if (chunk[0] === trailerFlag) {
    const error = findTrailerError(trailerParse(chunk.subarray(MESSAGE_PREFIX_BYTES)));
    const complete = completed(error, method);
    if (complete !== undefined) return complete;
  }
  return { ...answer, body: beginningWith(chunk, rest) };
}

async function* beginningWith(
  first: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield first;
  yield* { [Symbol.asyncIterator]: () => rest };
}

/** @returns the error to send instead; `undefined` if there is no error, or if it needs no change */
function completed(error: ConnectError | undefined, { input }: DescMethod): ConnectError | undefined {
  if (error === undefined || error.findDetails(ErrorInfoSchema).length > 0) return undefined;
  const text = error.rawMessage.slice(0, TEXT_MAX_CHARACTERS);
  switch (error.code) {
    case Code.Unimplemented:
      return callError('UNIMPLEMENTED', text);
    case Code.ResourceExhausted:
      return callError('MESSAGE_TOO_LARGE', text);
    case Code.Canceled:
      return callError('CANCELLED', text);
    case Code.InvalidArgument:
    // connect-node answers INTERNAL for bytes that are no message or contain a text that is not UTF-8.
    case Code.Internal:
      return unreadable(text, input);
    default:
      // An error of health or reflection, whose contracts have no ErrorInfo.
      return undefined;
  }
}

/**
 * Returns the error for a message that cannot be decoded. The texts of protobuf-es, which decodes messages, are not
 * sent, because they repeat parts of the request. Only the text about the value of a single field is sent, because it
 * is short.
 */
export function unreadable(text: string, { fields, typeName }: DescMessage): ConnectError {
  for (const field of fields) {
    const problem = problemOf(text, field);
    if (problem !== undefined) {
      return invalidRequest(`${field.name} cannot be read: ${problem}`, { field: field.name });
    }
  }
  return invalidRequest(`the request is not a ${typeName}, or contains a text that is not UTF-8`);
}

/** For a list of messages, as in a batch, the text of protobuf-es does not say which item it means. */
function problemOf(text: string, field: DescField): string | undefined {
  const [, problem] = text.split(`cannot decode ${field} from JSON: `);
  if (problem !== undefined || field.message === undefined) return problem;
  for (const inner of field.message.fields) {
    const [, innerProblem] = text.split(`cannot decode ${inner} from JSON: `);
    if (innerProblem !== undefined) return `${inner.name} of an item: ${innerProblem}`;
  }
  return undefined;
}
