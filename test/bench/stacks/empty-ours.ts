/** The service's gRPC server with everything that wraps a call, and operations that do nothing. */
import { recordCall } from '../../../src/observability/call-log.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { createMetrics } from '../../../src/observability/metrics.ts';
import { traceCall } from '../../../src/observability/tracing.ts';
import { createAdmission } from '../../../src/overload/admission.ts';
import { createCallGate } from '../../../src/rpc/call-gate.ts';
import { createFileService, type FileOperations } from '../../../src/rpc/file-service.ts';
import { createGrpcServer } from '../../../src/rpc/grpc/server.ts';
import { createHealth } from '../../../src/rpc/health.ts';
import { createIdentify } from '../../../src/rpc/identity.ts';
import { createMessageBudget } from '../../../src/rpc/limits/message-limits.ts';
import { tellServing } from './environment.ts';

const log = createLogger('info');
const nothing = new Proxy({}, { get: () => async () => undefined }) as FileOperations;
const onEnd = recordCall(log, createMetrics());
const fileService = createFileService(nothing, { trace: traceCall, onEnd });
const gate = createCallGate({
  identify: createIdentify({ userIdHeader: 'x-user-id', proof: { kind: 'none' } }),
  admission: createAdmission(256),
  onEnd,
  defaultTimeoutMs: 3_000,
  maxTimeoutMs: 30_000,
});
const server = createGrpcServer({
  fileService,
  gate,
  budget: createMessageBudget(),
  health: createHealth(),
});
tellServing(await server.listen('127.0.0.1', 0));
process.once('SIGTERM', () => process.exit());
