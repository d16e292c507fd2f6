import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { ServerReflection as ServerReflectionV1 } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionV1Alpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { Health } from '../../gen/health/v1/health_pb.ts';

export type Port = 'gRPC' | 'HTTP';

/**
 * All methods of these services are covered. `methods.test.ts` fails if a service of the server is missing
 * here.
 */
export const SERVICES: Record<Port, readonly DescService[]> = {
  gRPC: [FileService, Health, ServerReflectionV1, ServerReflectionV1Alpha],
  HTTP: [FileService, Health, ServerReflectionV1, ServerReflectionV1Alpha],
};

export function methodsOf(port: Port): DescMethod[] {
  return SERVICES[port].flatMap(({ methods }) => methods);
}

/**
 * A short and unique name. The package stays in the name where only the package differs (reflection v1,
 * v1alpha).
 */
export function nameOf(method: DescMethod): string {
  const service = method.parent.typeName.replace(/^grpc\./, '').replace(/^files\.v1\.FileService$/, '');
  return service === ''
    ? method.name
    : `${service.replace(/\.(ServerReflection|Health)$/, '')}.${method.name}`;
}
