import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import {
  type BadRequest,
  BadRequestSchema,
  type ErrorInfo,
  ErrorInfoSchema,
  type RetryInfo,
  RetryInfoSchema,
} from '../gen/es/google/rpc/error_details_pb.ts';
import type { Failure, Status } from './connection.ts';

interface Details {
  info: ErrorInfo[];
  bad: BadRequest[];
  retry: RetryInfo[];
}

export function detailsOf({ details }: Status): Details {
  const found = <Desc extends DescMessage>(schema: Desc): MessageShape<Desc>[] =>
    details
      .filter(({ typeUrl }) => typeUrl.endsWith(`/${schema.typeName}`))
      .map(({ value }) => fromBinary(schema, value));
  return { info: found(ErrorInfoSchema), bad: found(BadRequestSchema), retry: found(RetryInfoSchema) };
}

export function failureFrom(code: string | undefined, { info, bad, retry }: Details): Failure {
  const delay = retry[0]?.retryDelay;
  return {
    code: code ?? '',
    reason: info[0]?.reason ?? '',
    domain: info[0]?.domain ?? '',
    metadata: info[0]?.metadata ?? {},
    fields: bad.flatMap(({ fieldViolations }) => fieldViolations.map(({ field }) => field)),
    retryDelaySeconds: delay === undefined ? 0 : Number(delay.seconds) + delay.nanos / 1e9,
  };
}
