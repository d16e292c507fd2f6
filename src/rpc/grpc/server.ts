/**
 * `src/rpc/grpc/` is the gRPC server: the gate (`gate.ts`, `message.ts`), the answers to the calls of the file service
 * (`unary.ts`), statuses (`status.ts`), the bridge from Connect's service interface to the streams of grpc-js
 * (`bridge.ts`), and the limit of open streams (`open-streams.ts`). grpc-js keeps the connections, and serves health and
 * reflection. Every access to a private field of grpc-js is in `private-fields.ts`.
 *
 * Code that other protocols use too belongs in `src/rpc/`. Limits (sizes, counts, times) belong in
 * `src/rpc/limits/`.
 */

import type { DescService } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import { ServerCredentials } from '@grpc/grpc-js';
import { FileService } from '../../../gen/files/v1/file_service_pb.ts';
import { ServerReflection as ServerReflectionV1 } from '../../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionV1Alpha } from '../../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { Health as HealthService } from '../../../gen/health/v1/health_pb.ts';
import type { SharedCapacity } from '../../overload/shared-capacity.ts';
import type { CallGate } from '../call-gate.ts';
import { createCompress } from '../compress.ts';
import type { Health } from '../health.ts';
import { limitConnections } from '../limits/connection-limit.ts';
import type { TakeDecodeTurn } from '../limits/decode-turns.ts';
import { limitDecoders } from '../limits/decoders.ts';
import { limitHttp2, limitStrangers } from '../limits/http2-limits.ts';
import {
  CONNECTIONS_MAX,
  HTTP2_OPTIONS,
  IDLE_TIMEOUT_MS,
  PING_INTERVAL_MS,
  PING_TIMEOUT_MS,
} from '../limits/limits.ts';
import { LARGEST_MESSAGE_BYTES } from '../limits/message-limits.ts';
import { createReflection } from '../reflection.ts';
import { type Certificates, CurrentCredentials } from '../tls/tls.ts';
import { addStreams } from './bridge.ts';
import { guardGrpc } from './gate.ts';
import { StreamEndingServer } from './open-streams.ts';
import { countStream, http2Servers, setHttp2Options } from './private-fields.ts';
import { createAnswerUnary } from './unary.ts';

interface GrpcServerOptions {
  fileService: ServiceImpl<typeof FileService>;
  gate: CallGate;
  budget: SharedCapacity;
  takeDecodeTurn: TakeDecodeTurn;
  health: Health;
  certificates?: Certificates | undefined;
}

/** The gRPC server, with reflection and health checks, which grpcurl, buf curl and orchestrators expect. */
export function createGrpcServer(options: GrpcServerOptions) {
  const { fileService, gate, budget, takeDecodeTurn, health, certificates } = options;
  const server = new StreamEndingServer({
    'grpc.max_receive_message_length': LARGEST_MESSAGE_BYTES.binary,
    'grpc.max_connection_idle_ms': IDLE_TIMEOUT_MS,
    'grpc.keepalive_time_ms': PING_INTERVAL_MS,
    'grpc.keepalive_timeout_ms': PING_TIMEOUT_MS,
    // Channelz records every call and socket for a debugging service that this server does not offer.
    'grpc.enable_channelz': 0,
    // `grpc.max_connection_age_ms` is not set. Gateways, the callers of the file service, distribute their calls among
    // the instances themselves, and a call can fail when the server closes its connection.
  });
  setHttp2Options(server, HTTP2_OPTIONS);
  const answerUnary = createAnswerUnary(FileService, fileService, createCompress());
  const reflection = createReflection([FileService, HealthService]);
  addStreams(server, ServerReflectionV1, reflection.v1);
  addStreams(server, ServerReflectionV1Alpha, reflection.v1alpha);
  health.addToGrpc(server);
  const methods = methodsByPath([FileService, HealthService, ServerReflectionV1, ServerReflectionV1Alpha]);
  const credentials = certificates
    ? new CurrentCredentials(certificates)
    : ServerCredentials.createInsecure();

  return {
    /** @param port 0 for any free port @returns the port @throws when the port is in use */
    listen: (host: string, port: number) =>
      new Promise<number>((resolve, reject) => {
        server.bindAsync(authority(host, port), credentials, (error, bound) => {
          if (error) return reject(error);
          for (const http2 of http2Servers(server)) {
            const connections = limitConnections(http2, CONNECTIONS_MAX);
            guardGrpc(http2, {
              methods,
              gate,
              connections,
              budget,
              runDecoder: limitDecoders(),
              takeDecodeTurn,
              answerUnary,
              countStream: (stream) => countStream(server, stream),
            });
            limitStrangers(http2, connections);
            limitHttp2(http2);
          }
          resolve(bound);
        });
      }),

    /**
     * Accepts no new calls, ends open streams, and waits until all other calls have ended. Aborts the calls that have
     * not ended after `graceMs`.
     */
    stop: (graceMs: number) =>
      new Promise<void>((resolve) => {
        const force = setTimeout(() => server.forceShutdown(), graceMs);
        server.tryShutdown(() => {
          clearTimeout(force);
          resolve();
        });
        server.endStreams();
      }),
  };
}

function methodsByPath(services: readonly DescService[]) {
  return new Map(
    services.flatMap(({ typeName, methods }) =>
      methods.map((method) => [`/${typeName}/${method.name}`, method] as const),
    ),
  );
}

function authority(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
