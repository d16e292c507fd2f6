import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  fromJsonString,
  type MessageInitShape,
  type MessageShape,
  toBinary,
  toJsonString,
} from '@bufbuild/protobuf';
import { encodeEnvelope } from '@connectrpc/connect/protocol';
import { trailerFlag } from '@connectrpc/connect/protocol-grpc-web';
import { Health as HealthService } from '../../../gen/health/v1/health_pb.ts';
import { toConnectError } from '../errors.ts';
import type { Health } from '../health.ts';
import type { MessageEncoding } from '../limits/message-limits.ts';
import { unreadable } from './complete-error.ts';
import type { UnaryProtocol } from './protocol.ts';
import { refuseCall } from './refusal.ts';
import { messageIn } from './request-body.ts';

const { check, list } = HealthService.method;

const COMPRESSION_HEADERS = ['content-encoding', 'grpc-encoding'];

/** The trailers of a successful call as gRPC-Web sends them, in the body. */
const TRAILERS = encodeEnvelope(trailerFlag, Buffer.from('grpc-status: 0\r\n'));

interface WholeCall {
  method: DescMethod;
  request: IncomingMessage;
  response: ServerResponse;
  protocol: UnaryProtocol;
  /** The whole body of the request. */
  body: Buffer;
}

/**
 * Answers a Check or a List of the health service. Returns `false` and does nothing if the call is another one, or if
 * it has a compression. connect-node would make 40 kB of objects for each of these calls, and anyone may send health
 * checks: 300 connections with 100 checks each grew the process by 330 MB, and `/livez` waited for 16 s.
 */
export function answerHealth({ overHttp }: Health, call: WholeCall): boolean {
  const { method, request, response, protocol, body } = call;
  if ((method !== check && method !== list) || mayBeCompressed(call)) return false;
  const { encoding } = protocol;
  try {
    const message = messageIn(body, protocol);
    const answer =
      method === check
        ? encode(check.output, overHttp.check(decode(check.input, message, encoding)), encoding)
        : listed(overHttp, message, encoding);
    send(response, answer, protocol);
  } catch (error) {
    refuseCall(request.headers, response, toConnectError(error));
  }
  return true;
}

function mayBeCompressed({ request, protocol, body }: WholeCall): boolean {
  if (COMPRESSION_HEADERS.some((name) => request.headers[name] !== undefined)) return true;
  return protocol.name !== 'connect' && body[0] !== 0;
}

function listed(overHttp: Health['overHttp'], message: Buffer, encoding: MessageEncoding): Uint8Array {
  decode(list.input, message, encoding);
  return encode(list.output, overHttp.list(), encoding);
}

/** @throws ConnectError INVALID_REQUEST */
function decode<Schema extends DescMessage>(
  schema: Schema,
  message: Buffer,
  encoding: MessageEncoding,
): MessageShape<Schema> {
  try {
    if (encoding === 'json') return fromJsonString(schema, message.toString(), { ignoreUnknownFields: true });
    return fromBinary(schema, message, { readUnknownFields: false });
  } catch (error) {
    throw unreadable((error as Error).message, schema);
  }
}

function encode<Schema extends DescMessage>(
  schema: Schema,
  answer: MessageInitShape<Schema>,
  encoding: MessageEncoding,
): Uint8Array {
  const message = create(schema, answer);
  return encoding === 'json' ? Buffer.from(toJsonString(schema, message)) : toBinary(schema, message);
}

function base64(bytes: Uint8Array): Buffer {
  return Buffer.from(Buffer.from(bytes).toString('base64'));
}

function send(response: ServerResponse, answer: Uint8Array, { name, encoding }: UnaryProtocol): void {
  const format = encoding === 'json' ? 'json' : 'proto';
  if (name === 'connect') {
    response.writeHead(200, { 'content-type': `application/${format}`, 'content-length': answer.length });
    response.end(answer);
    return;
  }
  response.writeHead(200, { 'content-type': `application/${name}+${format}` });
  const message = encodeEnvelope(0, answer);
  if (name === 'grpc') {
    response.write(message);
    response.addTrailers({ 'grpc-status': '0' });
    response.end();
    return;
  }
  const chunks = [message, TRAILERS].map((chunk) => (name === 'grpc-web-text' ? base64(chunk) : chunk));
  response.end(Buffer.concat(chunks));
}
