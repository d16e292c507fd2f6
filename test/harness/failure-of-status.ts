import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import type { Status } from '../../gen/google/rpc/status_pb.ts';
import type { Failure } from './failure.ts';

/** Returns everything that a caller can see of a failed request of a batch. */
export function failureOfStatus({ code, message, details }: Status): Failure {
  const unpacked = <Desc extends typeof ErrorInfoSchema | typeof BadRequestSchema>(desc: Desc) =>
    details.map((detail) => anyUnpack(detail, desc)).find((detail) => detail !== undefined);
  const info = unpacked(ErrorInfoSchema);
  const bad = unpacked(BadRequestSchema);
  return {
    code: Code[code] ?? '',
    message,
    reason: info?.reason,
    domain: info?.domain,
    metadata: info?.metadata,
    fields: bad?.fieldViolations.map(({ field }) => field) ?? [],
    retries: details.some((detail) => anyUnpack(detail, RetryInfoSchema) !== undefined),
  };
}
