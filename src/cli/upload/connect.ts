import { type Client, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { FileService } from '../../client/node.ts';

/**
 * The largest answer that the client reads. The service sends no larger answer, because gRPC clients accept 4 MiB by
 * default. Without this limit, an endless answer from a wrong address would fill the memory.
 */
const ANSWER_MAX_BYTES = 4 * 1024 ** 2;

/**
 * The address of the service, the header that names the user, and the token of the gateway (the trusted caller that
 * names the user). The command takes the place of the gateway.
 */
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
