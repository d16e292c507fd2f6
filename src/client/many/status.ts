import { ConnectError } from '@connectrpc/connect';
import type { Status } from '../../../gen/google/rpc/status_pb.ts';

/** Returns the error of one request of a batch, as the call of this one request would have thrown it. */
export function errorOfStatus(status: Status | undefined): ConnectError {
  const error = new ConnectError(
    status?.message ?? 'the service answered neither a response nor an error',
    status?.code,
  );
  // A ConnectError has the details as they come from the service: the name of the type and the bytes.
  error.details = (status?.details ?? []).map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1),
    value,
  }));
  return error;
}
