import { type Client, createClient } from '@connectrpc/connect';
import { FileService } from '../../client/node.ts';
import { createTransport } from './transport.ts';

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
  const headers = {
    [userIdHeader]: user,
    ...(gatewayToken !== undefined && { 'x-gateway-token': gatewayToken }),
  };
  return createClient(FileService, createTransport(url, headers));
}
