import { ConnectError } from '@connectrpc/connect';
import type { Status } from '../../../gen/google/rpc/status_pb.ts';

/** Converts the error of one request of a batch to the ConnectError that a call for this request alone would throw. */
export function errorOfStatus(status: Status | undefined): ConnectError {
  const error = new ConnectError(
    status?.message ?? 'the service answered neither a response nor an error',
    status?.code,
  );
  // A ConnectError from the network holds its details undecoded, as the name of a type and bytes, until `findDetails`
  // decodes them. The details here get the same form.
  error.details = (status?.details ?? []).map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1),
    value,
  }));
  return error;
}
