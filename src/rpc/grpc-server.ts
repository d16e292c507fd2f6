import type { ServiceImpl } from '@connectrpc/connect';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { file_files_v1_error_reason } from '../../gen/files/v1/error_reason_pb.ts';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { file_google_rpc_error_details } from '../../gen/google/rpc/error_details_pb.ts';
import { ServerReflection as ServerReflectionV1 } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionV1Alpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { Health as HealthService } from '../../gen/health/v1/health_pb.ts';
import { addService } from './grpc-bridge.ts';
import type { Health } from './health.ts';
import { MESSAGE_MAX_BYTES } from './limits.ts';
import { createReflection } from './reflection.ts';

export interface GrpcServer {
  /** The port, where 0 was asked for. @throws when the port is taken */
  listen(host: string, port: number): Promise<number>;
  /** Takes no new calls and waits for those under way; ends them after the time given. */
  stop(graceMs: number): Promise<void>;
}

/**
 * How many calls one connection may have at once. A gateway multiplexes all its
 * users over few connections; node's own limit is 2^32 - 1, which lets one
 * connection ask for all memory there is.
 */
const STREAMS_PER_CONNECTION_MAX = 1_000;

/** gRPC, with reflection and health: what grpcurl, buf curl and orchestrators expect of a server. */
export function createGrpcServer(fileService: ServiceImpl<typeof FileService>, health: Health): GrpcServer {
  const server = new Server({
    'grpc.max_concurrent_streams': STREAMS_PER_CONNECTION_MAX,
    'grpc.max_receive_message_length': MESSAGE_MAX_BYTES,
  });
  const offered = [FileService, HealthService, ServerReflectionV1, ServerReflectionV1Alpha];
  const reflection = createReflection(offered, [file_files_v1_error_reason, file_google_rpc_error_details]);
  addService(server, FileService, fileService);
  addService(server, ServerReflectionV1, reflection.v1);
  addService(server, ServerReflectionV1Alpha, reflection.v1alpha);
  health.grpc.addToServer(server);

  return {
    listen: (host, port) =>
      new Promise((resolve, reject) => {
        server.bindAsync(authority(host, port), ServerCredentials.createInsecure(), (error, bound) =>
          error ? reject(error) : resolve(bound),
        );
      }),

    stop: (graceMs) =>
      new Promise((resolve) => {
        const force = setTimeout(() => server.forceShutdown(), graceMs);
        server.tryShutdown(() => {
          clearTimeout(force);
          resolve();
        });
      }),
  };
}

function authority(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
