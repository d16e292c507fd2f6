import { type Client, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { FileService } from '../../client/node.ts';

/** The service's answers stay below the 4 MiB of gRPC. By default, an answer without an end would fill the memory. */
const ANSWER_MAX_BYTES = 4 * 1024 ** 2;

/** The address and the metadata with which the service is called. */
export interface ServiceAddress {
  url: string;
  userIdHeader: string;
  gatewayToken: string | undefined;
}

export function connect(
  { url, userIdHeader, gatewayToken }: ServiceAddress,
  user: string,
): Client<typeof FileService> {
  return createClient(
    FileService,
    createConnectTransport({
      baseUrl: url,
      httpVersion: '1.1',
      readMaxBytes: ANSWER_MAX_BYTES,
      interceptors: [
        (next) => (request) => {
          request.header.set(userIdHeader, user);
          if (gatewayToken !== undefined) request.header.set('x-gateway-token', gatewayToken);
          return next(request);
        },
      ],
    }),
  );
}
