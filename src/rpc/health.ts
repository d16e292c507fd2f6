import { Code, ConnectError } from '@connectrpc/connect';
import type { Server, UntypedServiceImplementation } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import {
  type HealthCheckRequest,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../gen/health/v1/health_pb.ts';
import { callError } from './errors.ts';

export type Health = ReturnType<typeof createHealth>;

/**
 * Stands for all unknown service names. `?` cannot be the name of a service, so this name never gets a
 * status.
 */
const UNKNOWN_NAME = '?';

/**
 * The readiness of the service, for gRPC health checks and for the page `/readyz`. The status is NOT_SERVING until
 * the first `set(true)`.
 */
export function createHealth() {
  let current = false;
  // In gRPC health checks, the empty name stands for the whole server. The server has only one service, so the
  // service and the whole server always have the same status.
  const names = ['', FileService.typeName];
  const grpc = new HealthImplementation(Object.fromEntries(names.map((name) => [name, 'NOT_SERVING'])));
  return {
    addToGrpc(server: Pick<Server, 'addService'>): void {
      grpc.addToServer({
        addService: (service, { check, watch, ...others }) =>
          server.addService(service, {
            ...others,
            check: withKnownNames(check as Handler, names),
            watch: withKnownNames(watch as Handler, names),
          }),
      } as Server);
    },
    /**
     * The methods for the HTTP port. Watch is offered on the gRPC port only, where the number and the age of open
     * streams are limited. A client that gets UNIMPLEMENTED for Watch stops asking.
     */
    overHttp: {
      check({ service }: HealthCheckRequest) {
        if (!names.includes(service)) throw new ConnectError('the server has no such service', Code.NotFound);
        return { status: servingStatus(current) };
      },
      list() {
        return {
          statuses: Object.fromEntries(names.map((name) => [name, { status: servingStatus(current) }])),
        };
      },
      watch(): AsyncIterable<never> {
        throw callError('UNIMPLEMENTED', 'Watch is offered on the gRPC port only; use Check');
      },
    },
    get serving(): boolean {
      return current;
    },
    set(serving: boolean): void {
      if (serving === current) return;
      current = serving;
      const status = serving ? 'SERVING' : 'NOT_SERVING';
      for (const name of names) grpc.setStatus(name, status);
    },
  };
}

function servingStatus(serving: boolean): ServingStatus {
  return serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
}

type Handler = (call: { request: { service: string } }, ...others: unknown[]) => void;

/**
 * Replaces unknown names by UNKNOWN_NAME. grpc-health-check keeps every name that was ever watched, and any
 * client may send names of up to 16 KiB: 4,300 names took 70 MB permanently, and the error for a name repeated the
 * name in 49 kB. All unknown names have the same status.
 */
function withKnownNames(handle: Handler, names: readonly string[]): UntypedServiceImplementation[string] {
  return (call: Parameters<Handler>[0], ...others: unknown[]) => {
    if (!names.includes(call.request.service)) call.request.service = UNKNOWN_NAME;
    handle(call, ...others);
  };
}
