import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { Socket } from 'node:net';
import type { DescMethod } from '@bufbuild/protobuf';
import { FileService } from '../../../gen/files/v1/file_service_pb.ts';
import { Health as HealthService } from '../../../gen/health/v1/health_pb.ts';
import type { AdmittedCall } from '../admitted-call.ts';
import type { CallGate } from '../call-gate.ts';
import { openStreamsTooMany } from '../errors.ts';
import type { Health } from '../health.ts';
import type { ConnectionLimit } from '../limits/connection-limit.ts';
import { OPEN_STREAMS_PER_CONNECTION_MAX } from '../limits/limits.ts';
import { limitPerConnection } from '../limits/open-per-connection.ts';
import { takeTimeout } from '../timeout-headers.ts';

export interface AdmitOptions {
  gate: CallGate;
  health: Health;
  connections: ConnectionLimit;
}

/**
 * Decides from the headers of a call whether the call is served, before connect-node (the library of the HTTP server)
 * gets the call. A refusal by connect-node takes up to 0.9 ms, and a client can open 1,000 streams with a single
 * packet. So a single packet could cause 0.9 s of work.
 *
 * @returns a function that returns the admitted call, or `undefined` for health and reflection, which callers may use
 *   without authenticating as a gateway (the trusted caller that names the user). The function throws a ConnectError
 *   for a refused call.
 */
export function createAdmit({ gate, connections, health }: AdmitOptions) {
  const mayOpenStream = limitPerConnection(OPEN_STREAMS_PER_CONNECTION_MAX);
  return (
    method: DescMethod,
    request: IncomingMessage,
    response: ServerResponse,
  ): AdmittedCall | undefined => {
    const timeoutMs = takeTimeout(request.headers);
    const socket = socketOf(request);
    if (method.parent === FileService) {
      const caller = { headers: request.headers, connection: socket };
      const connection = socket && connections.of(socket);
      return gate.admit({ method: method.name, caller, timeoutMs, connection, stream: response });
    }
    // Watch is refused for every caller, and connect-node would refuse it only after the message had arrived.
    if (method === HealthService.method.watch) health.overHttp.watch();
    const isStream = method.methodKind !== 'unary';
    if (isStream && socket !== undefined && !mayOpenStream(socket, response)) throw openStreamsTooMany();
    return undefined;
  };
}

/** The socket of a request. Over HTTP/2 all calls of a connection share a socket. */
export function socketOf(request: IncomingMessage | Http2ServerRequest): Socket | undefined {
  return 'stream' in request ? (request.stream.session?.socket as Socket | undefined) : request.socket;
}
