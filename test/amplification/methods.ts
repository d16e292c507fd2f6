import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { ServerReflection as ServerReflectionV1 } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionV1Alpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { Health } from '../../gen/health/v1/health_pb.ts';

export type Port = 'gRPC' | 'HTTP';

/** A new method of these services is covered without a new line; `methods.test.ts` fails for a service that is missing. */
export const SERVICES: Record<Port, readonly DescService[]> = {
  gRPC: [FileService, Health, ServerReflectionV1, ServerReflectionV1Alpha],
  HTTP: [FileService, ServerReflectionV1, ServerReflectionV1Alpha],
};

export function methodsOf(port: Port): DescMethod[] {
  return SERVICES[port].flatMap(({ methods }) => methods);
}

/** Short, and still unique: the two reflections differ in their package alone. */
export function nameOf(method: DescMethod): string {
  const service = method.parent.typeName.replace(/^grpc\./, '').replace(/^files\.v1\.FileService$/, '');
  return service === ''
    ? method.name
    : `${service.replace(/\.(ServerReflection|Health)$/, '')}.${method.name}`;
}
