/** The service's own gRPC wire, with all that wraps a call, and operations that do nothing. */
import { recordCall } from '../../../src/record.ts';
import { createAdmission } from '../../../src/rpc/admission.ts';
import { createFileService, type FileOperations } from '../../../src/rpc/file-service.ts';
import { createGrpcServer } from '../../../src/rpc/grpc-server.ts';
import { createHealth } from '../../../src/rpc/health.ts';
import { createIdentify } from '../../../src/rpc/identity.ts';
import { createLogger, createMetrics, traceCall } from '../../../src/telemetry.ts';
import { tellServing } from './environment.ts';

const log = createLogger('info');
const nothing = new Proxy({}, { get: () => async () => undefined }) as FileOperations;
const service = createFileService(nothing, {
  identify: createIdentify({ userIdHeader: 'x-user-id', proof: { kind: 'none' } }),
  admit: createAdmission(256).admit,
  trace: traceCall,
  onEnd: recordCall(log, createMetrics()),
  defaultTimeoutMs: 3_000,
  maxTimeoutMs: 30_000,
});
tellServing(await createGrpcServer(service, createHealth(), undefined).listen('127.0.0.1', 0));
process.once('SIGTERM', () => process.exit());
