import { createRegistry } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, type Interceptor } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-web';
import { FileService } from '../gen/es/files/v1/file_service_pb.ts';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  file_google_rpc_error_details,
  RetryInfoSchema,
} from '../gen/es/google/rpc/error_details_pb.ts';
import { type Connection, errorOf, TIMEOUT_MS } from './connection.ts';
import { createAllOf } from './create-all.ts';
import { failureFrom } from './failure.ts';

/** Connect over `fetch`, as a page in a browser has it. */
export function connectWeb(address: string, user: string | undefined): Connection {
  const asUser: Interceptor = (next) => (request) => {
    if (user !== undefined) request.header.set('x-user-id', user);
    return next(request);
  };
  const baseUrl = `http://${address}`;
  const transport = createConnectTransport({
    baseUrl,
    interceptors: [asUser],
    defaultTimeoutMs: TIMEOUT_MS,
    // The default is JSON, in which only a registry makes the error details of a batch readable.
    jsonOptions: { registry: createRegistry(file_google_rpc_error_details) },
  });
  const files = createClient(FileService, transport);
  return {
    files,
    createAll: createAllOf(files, (code) => Code[code]),
    async failureOf(call) {
      const error = ConnectError.from(await errorOf(call));
      return failureFrom(Code[error.code], {
        info: error.findDetails(ErrorInfoSchema),
        bad: error.findDetails(BadRequestSchema),
        retry: error.findDetails(RetryInfoSchema),
      });
    },
    [Symbol.dispose]() {},
  };
}
