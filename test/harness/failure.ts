import { Code, ConnectError } from '@connectrpc/connect';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';

/** Everything that a caller can see of a failed call. */
export interface Failure {
  code: string;
  message: string;
  reason: string | undefined;
  domain: string | undefined;
  metadata: Record<string, string> | undefined;
  fields: string[];
  retries: boolean;
}

/** Returns the failure of a call. @throws when the call succeeds */
export async function failureOf(call: Promise<unknown>): Promise<Failure> {
  const error = await call.then(
    (answer) => {
      throw new Error(
        `the call succeeded: ${JSON.stringify(answer, (_, v) => (typeof v === 'bigint' ? `${v}` : v))}`,
      );
    },
    (failure: unknown) => ConnectError.from(failure),
  );
  const [info] = error.findDetails(ErrorInfoSchema);
  const [bad] = error.findDetails(BadRequestSchema);
  return {
    code: Code[error.code],
    message: error.rawMessage,
    reason: info?.reason,
    domain: info?.domain,
    metadata: info?.metadata,
    fields: bad?.fieldViolations.map(({ field }) => field) ?? [],
    retries: error.findDetails(RetryInfoSchema).length > 0,
  };
}

/** The failure of a request whose field is invalid. */
export const invalid = (reason: string, field: string) => ({
  code: 'InvalidArgument',
  reason,
  domain: 'files.v1',
  fields: [field],
});
