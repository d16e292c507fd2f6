import { readTables } from './read-tables.ts';
import { GATEWAY, gatewayProblems, gatewayProof, tlsFiles } from './settings/gateway.ts';
import { LISTEN } from './settings/listen.ts';

/**
 * Reads what a client on the same machine must know: where the service listens, and how the gateway proves its
 * identity. Problems of other settings do not concern a client, and their files are not loaded.
 *
 * @throws ConfigError that names every problem
 */
export function readClientConfig(environment: Record<string, string | undefined>) {
  const { listen, gateway } = readTables({ listen: LISTEN, gateway: GATEWAY }, environment, (values) =>
    gatewayProblems(values.gateway, values.listen.host),
  );
  return {
    listen,
    userIdHeader: gateway.userIdHeader,
    gateway: gatewayProof(gateway),
    tls: tlsFiles(gateway),
  };
}
