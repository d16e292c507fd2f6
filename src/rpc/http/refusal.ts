import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { ConnectError } from '@connectrpc/connect';
import { encodeEnvelope } from '@connectrpc/connect/protocol';
import {
  codeToHttpStatus,
  contentTypeStreamRegExp,
  endStreamFlag,
  endStreamToJson,
  errorToJsonBytes,
} from '@connectrpc/connect/protocol-connect';
import { trailersOnly } from '../grpc/status.ts';
import { protocolOf } from './protocol.ts';

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
