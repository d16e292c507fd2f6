import { HealthImplementation } from 'grpc-health-check';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';

/** Whether the service can do its work: for gRPC health checks, and for `/readyz`. */
export interface Health {
  readonly grpc: HealthImplementation;
  readonly serving: boolean;
  set(serving: boolean): void;
}

/** Not serving until somebody says so. */
export function createHealth(): Health {
  let current = false;
  const grpc = new HealthImplementation({ '': 'NOT_SERVING', [FileService.typeName]: 'NOT_SERVING' });
  return {
    grpc,
    get serving() {
      return current;
    },
    set(serving) {
      if (serving === current) return;
      current = serving;
      const status = serving ? 'SERVING' : 'NOT_SERVING';
      // Both names mean the same: there is one service, and it is all there is.
      grpc.setStatus('', status);
      grpc.setStatus(FileService.typeName, status);
    },
  };
}
