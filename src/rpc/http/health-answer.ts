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
import { type Compression, encodeEnvelope } from '@connectrpc/connect/protocol';
import { trailerFlag } from '@connectrpc/connect/protocol-grpc-web';
import { Health as HealthService } from '../../../gen/health/v1/health_pb.ts';
import { encodingUnknown, invalidRequest, toConnectError } from '../errors.ts';
import type { Health } from '../health.ts';
import { MESSAGE_MAX_BYTES, type MessageEncoding } from '../limits/message-limits.ts';
import { unreadable } from './complete-error.ts';
import type { UnaryProtocol } from './protocol.ts';
import { refuseCall } from './refusal.ts';
import { isCompressed, messageIn } from './request-body.ts';

const { check, list } = HealthService.method;

/** The trailers of a successful call as gRPC-Web sends them, in the body. */
const TRAILERS = encodeEnvelope(trailerFlag, Buffer.from('grpc-status: 0\r\n'));

interface WholeCall {
  method: DescMethod;
  request: IncomingMessage;
  response: ServerResponse;
  protocol: UnaryProtocol;
  /** The whole body of the request. */
  body: Buffer;
  /** The compressions that the server accepts. */
  compressions: readonly Compression[];
}

/** Whether `answerHealth` answers the calls of a method. */
export function isHealth(method: DescMethod): boolean {
  return method === check || method === list;
}

/**
 * Answers a Check or a List of the health service. connect-node would make 40 kB of objects for each of these calls,
 * and 90 kB if the message is compressed, and anyone may send health checks: 300 connections with 100 checks each grew
 * the process by 330 MB, and `/livez` waited for 16 s.
 */
export function answerHealth(health: Health, call: WholeCall): void {
  const { request, response, protocol, body } = call;
  const answer = (message: Uint8Array) => send(response, answerTo(health, call, message), protocol);
  const refuse = (error: unknown) => refuseCall(request.headers, response, toConnectError(error));
  try {
    const message = messageIn(body, protocol);
    const compression = compressionOf(call);
    if (compression === undefined) answer(message);
    else compression.decompress(message, MESSAGE_MAX_BYTES).then(answer).catch(refuse);
  } catch (error) {
    refuse(error);
  }
}

/** @throws ConnectError UNIMPLEMENTED, INVALID_ARGUMENT */
function compressionOf({ request, protocol, body, compressions }: WholeCall): Compression | undefined {
  const name = request.headers[protocol.name === 'connect' ? 'content-encoding' : 'grpc-encoding'];
  const compression = compressions.find((one) => one.name === name);
  if (name !== undefined && name !== 'identity' && compression === undefined) {
    throw encodingUnknown(compressions.map((one) => one.name).join());
  }
  if (!isCompressed(body, request, protocol)) return undefined;
  if (compression === undefined) throw invalidRequest('the message has a compression that no header names');
  return compression;
}

function answerTo({ overHttp }: Health, { method, protocol }: WholeCall, message: Uint8Array): Uint8Array {
  const { encoding } = protocol;
  if (method === list) return listed(overHttp, message, encoding);
  return encode(check.output, overHttp.check(decode(check.input, message, encoding)), encoding);
}

function listed(overHttp: Health['overHttp'], message: Uint8Array, encoding: MessageEncoding): Uint8Array {
  decode(list.input, message, encoding);
  return encode(list.output, overHttp.list(), encoding);
}

/** @throws ConnectError INVALID_REQUEST */
function decode<Schema extends DescMessage>(
  schema: Schema,
  message: Uint8Array,
  encoding: MessageEncoding,
): MessageShape<Schema> {
  try {
    if (encoding === 'json') {
      return fromJsonString(schema, Buffer.from(message).toString(), { ignoreUnknownFields: true });
    }
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
