import { readTables } from './read-tables.ts';
import { GATEWAY, tlsFiles } from './settings/gateway.ts';
import { LISTEN } from './settings/listen.ts';

/**
 * Reads what a client on the same machine must know: where the service listens, and the token of the gateway.
 * Problems of other settings do not concern a client, and neither do rules between settings: GATEWAY_TOKENS alone is
 * enough for a client.
 *
 * @throws ConfigError that names every problem
 */
export function readClientConfig(environment: Record<string, string | undefined>) {
  const { listen, gateway } = readTables({ listen: LISTEN, gateway: GATEWAY }, environment, () => []);
  return {
    listen,
    userIdHeader: gateway.userIdHeader,
    gatewayToken: gateway.tokens?.[0],
    tls: tlsFiles(gateway),
  };
}
