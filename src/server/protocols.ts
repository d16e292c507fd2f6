import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { StartupError } from '../config/startup-error.ts';
import type { FileOperations } from '../files/operations/operations.ts';
import { recordCall } from '../observability/call-log.ts';
import type { Metrics } from '../observability/metrics.ts';
import { traceCall } from '../observability/tracing.ts';
import { createAdmission } from '../overload/admission.ts';
import { createSharedCapacity } from '../overload/shared-capacity.ts';
import { createCallGate } from '../rpc/call-gate.ts';
import { createFileService } from '../rpc/file-service.ts';
import { createGrpcServer } from '../rpc/grpc/server.ts';
import type { Health } from '../rpc/health.ts';
import type { JsonEndpointsOptions } from '../rpc/http/json-endpoint/json-endpoint.ts';
import { createHttpServer, type Page } from '../rpc/http/server.ts';
import { createIdentify } from '../rpc/identity.ts';
import { createDecodeTurns } from '../rpc/limits/decode-turns.ts';
import { MESSAGES_MAX_BYTES } from '../rpc/limits/message-limits.ts';
import { freeUnusedBuffers } from '../rpc/memory/unused-buffers.ts';
import type { Certificates } from '../rpc/tls/tls.ts';
import { DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS } from './call-timeouts.ts';

interface Served {
  operations: FileOperations;
  health: Health;
  pages: Record<string, Page>;
  endpoints: JsonEndpointsOptions['endpoints'];
  certificates: Certificates | undefined;
}

/**
 * Creates the gRPC server and the HTTP server. They share the call gate (`src/rpc/call-gate.ts`), the service and the
 * memory for messages.
 */
export function createProtocolServers(config: Config, log: Logger, metrics: Metrics, served: Served) {
  const { operations, health, pages, endpoints, certificates } = served;
  const admission = createAdmission(config.limits.concurrentCallsMax);
  metrics.watchAdmission(admission);
  const onEnd = recordCall(log, metrics);
  const gate = createCallGate({
    identify: createIdentify({ userIdHeader: config.userIdHeader, proof: config.gateway }),
    admission,
    onEnd,
    defaultTimeoutMs: DEFAULT_TIMEOUT_MS,
    maxTimeoutMs: MAX_TIMEOUT_MS,
  });
  const fileService = createFileService(operations, { trace: traceCall, onEnd });
  const budget = createSharedCapacity(MESSAGES_MAX_BYTES);
  const shared = { fileService, gate, budget, takeDecodeTurn: createDecodeTurns(), certificates };
  const grpc = createGrpcServer({ ...shared, health });
  const http = createHttpServer({
    ...shared,
    health,
    pages,
    endpoints,
    loopbackOnly: config.gateway.kind === 'none',
    corsAllowedOrigins: config.browsers.corsAllowedOrigins ?? [],
  });
  const stopFreeing = freeUnusedBuffers();

  return {
    async listen({ host, grpcPort, httpPort }: Config['listen']) {
      return {
        grpcPort: await listening(grpc, 'GRPC_PORT', host, grpcPort),
        httpPort: await listening(http, 'HTTP_PORT', host, httpPort),
      };
    },
    announceStop: () => http.announceStop(),
    async stop(graceMs: number): Promise<void> {
      await Promise.all([grpc.stop(graceMs), http.stop(graceMs)]);
      stopFreeing();
    },
  };
}

/**
 * Starts a server. If the port is in use or reserved, or the address belongs to another machine, the operator
 * must change the setting, so the error is a StartupError.
 */
async function listening(
  server: { listen(host: string, port: number): Promise<number> },
  variable: string,
  host: string,
  port: number,
): Promise<number> {
  try {
    return await server.listen(host, port);
  } catch (error) {
    throw new StartupError(
      `cannot listen on port ${port} of ${host} (set ${variable} or HOST): ${(error as Error).message}`,
      { cause: error },
    );
  }
}
