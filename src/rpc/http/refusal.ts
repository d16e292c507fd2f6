import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { ConnectError } from '@connectrpc/connect';
import { codeToHttpStatus, errorToJsonBytes } from '@connectrpc/connect/protocol-connect';
import { trailersOnly } from '../grpc/status.ts';

/**
 * Answers, in the call's own protocol, a call that the gate has refused: gRPC and gRPC-Web receive a status in the
 * headers, Connect receives an HTTP status and the error in JSON.
 */
export function refuseCall(
  headers: IncomingHttpHeaders,
  response: ServerResponse,
  error: ConnectError,
): void {
  const contentType = headers['content-type'] ?? '';
  if (contentType.startsWith('application/grpc')) {
    const protocol = contentType.startsWith('application/grpc-web') ? 'grpc-web' : 'grpc';
    response
      .writeHead(200, { 'content-type': `application/${protocol}+proto`, ...trailersOnly(error) })
      .end();
    return;
  }
  const body = errorToJsonBytes(error, undefined);
  response.writeHead(codeToHttpStatus(error.code), {
    'content-type': 'application/json',
    'content-length': body.length,
  });
  response.end(body);
}
