import type { Server, UntypedServiceImplementation } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';

/** Whether the service can do its work: for gRPC health checks, and for `/readyz`. */
export interface Health {
  addToGrpc(server: Pick<Server, 'addService'>): void;
  readonly serving: boolean;
  set(serving: boolean): void;
}

/** No other name ever gets a status. It cannot be the name of a service. */
const UNKNOWN_NAME = '?';

/** Not serving until somebody says so. */
export function createHealth(): Health {
  let current = false;
  // Both names mean the same: there is one service, and it is all there is.
  const names = ['', FileService.typeName];
  const grpc = new HealthImplementation(Object.fromEntries(names.map((name) => [name, 'NOT_SERVING'])));
  return {
    addToGrpc(server) {
      grpc.addToServer({
        addService: (service, { watch, ...others }) =>
          server.addService(service, { ...others, watch: withKnownNames(watch as Watch, names) }),
      } as Server);
    },
    get serving() {
      return current;
    },
    set(serving) {
      if (serving === current) return;
      current = serving;
      const status = serving ? 'SERVING' : 'NOT_SERVING';
      for (const name of names) grpc.setStatus(name, status);
    },
  };
}

type Watch = (call: { request: { service: string } }) => void;

/**
 * grpc-health-check keeps each name that was ever watched, up to 16 KiB from anyone: 4,300 of them took 70 MB for good.
 * All names without a service have the same answer, so they become one.
 */
function withKnownNames(watch: Watch, names: readonly string[]): UntypedServiceImplementation[string] {
  return (call: Parameters<Watch>[0]) => {
    if (!names.includes(call.request.service)) call.request.service = UNKNOWN_NAME;
    watch(call);
  };
}
