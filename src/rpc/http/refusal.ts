import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { ConnectError } from '@connectrpc/connect';
import { codeToHttpStatus, errorToJsonBytes } from '@connectrpc/connect/protocol-connect';
import { trailersOnly } from '../grpc/status.ts';
import { protocolOf } from './protocol.ts';

/**
 * Answers a call with an error, in the call's own protocol: gRPC and gRPC-Web receive a status in the
 * headers, Connect receives an HTTP status and the error in JSON.
 */
export function refuseCall(
  headers: IncomingHttpHeaders,
  response: ServerResponse,
  error: ConnectError,
): void {
  const { name = 'connect' } = protocolOf(headers['content-type']) ?? {};
  if (name !== 'connect') {
    const contentType = `application/${name}+proto`;
    response.writeHead(200, { 'content-type': contentType, ...trailersOnly(error) }).end();
    return;
  }
  const body = errorToJsonBytes(error, undefined);
  response.writeHead(codeToHttpStatus(error.code), {
    'content-type': 'application/json',
    'content-length': body.length,
  });
  response.end(body);
}
