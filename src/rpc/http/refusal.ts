import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { ConnectError } from '@connectrpc/connect';
import { encodeEnvelope, type UniversalHandler } from '@connectrpc/connect/protocol';
import {
  codeToHttpStatus,
  contentTypeStreamRegExp,
  endStreamFlag,
  endStreamToJson,
  errorToJsonBytes,
} from '@connectrpc/connect/protocol-connect';
import { callError, invalidRequest } from '../errors.ts';
import { trailersOnly } from '../grpc/status.ts';
import { protocolOf } from './protocol.ts';

/** No Content-Type of these protocols is longer, not even with a `charset`. */
const CONTENT_TYPE_MAX_CHARACTERS = 128;

// These errors are encoded once, because anyone can cause them.
const NOT_POST = errorToJsonBytes(callError('UNIMPLEMENTED', 'a call is a POST request'), undefined);
const TYPE_UNKNOWN = errorToJsonBytes(
  invalidRequest(
    'Content-Type must be application/json, application/proto, application/grpc, application/grpc-web or ' +
      'application/grpc-web-text, with charset utf-8 if a charset is given',
  ),
  undefined,
);

/**
 * Refuses a request that is no call of the method, before connect-node gets it. connect-node would make the objects of a
 * call for the refusal. It also keeps the first 1,024 different values of Content-Type that a method receives until the
 * process ends, and a value may have 16 KiB.
 *
 * @returns whether the request was refused
 */
export function refuseForHeaders(
  { method, supportedContentType }: UniversalHandler,
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  if (request.method !== 'POST') {
    response.writeHead(405, { allow: 'POST', ...JSON_TYPE }).end(NOT_POST);
  } else if (!isKnown(request.headers['content-type'], supportedContentType)) {
    response.writeHead(415, JSON_TYPE).end(TYPE_UNKNOWN);
  } else if (method.methodKind === 'bidi_streaming' && request.httpVersionMajor === 1) {
    // A client that expects HTTP/2 may wait for ever unless the connection is closed.
    response.writeHead(505, { connection: 'close' }).end();
  } else return false;
  return true;
}

const JSON_TYPE = { 'content-type': 'application/json' };

function isKnown(contentType = '', isSupported: (contentType: string) => boolean): boolean {
  if (contentType.length > CONTENT_TYPE_MAX_CHARACTERS) return false;
  return protocolOf(contentType) !== undefined || isSupported(contentType);
}

/**
 * Answers a call with an error, in the call's own protocol: gRPC and gRPC-Web receive a status in the
 * headers, Connect receives an HTTP status and the error in JSON. A stream of Connect has the status 200 and receives
 * the error as its last message.
 */
export function refuseCall(
  headers: IncomingHttpHeaders,
  response: ServerResponse,
  error: ConnectError,
): void {
  const contentType = headers['content-type'] ?? '';
  const { name = 'connect' } = protocolOf(contentType) ?? {};
  if (name !== 'connect') {
    const answerType = `application/${name}+proto`;
    response.writeHead(200, { 'content-type': answerType, ...trailersOnly(error) }).end();
    return;
  }
  const isStream = contentTypeStreamRegExp.test(contentType);
  const body = isStream ? endOfStream(error) : errorToJsonBytes(error, undefined);
  response.writeHead(isStream ? 200 : codeToHttpStatus(error.code), {
    'content-type': isStream ? contentType : 'application/json',
    'content-length': body.length,
  });
  response.end(body);
}

function endOfStream(error: ConnectError): Uint8Array {
  const end = JSON.stringify(endStreamToJson(new Headers(), error, undefined));
  return encodeEnvelope(endStreamFlag, Buffer.from(end));
}
