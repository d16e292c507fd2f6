import { type ServiceWithServers, startServiceWithServers } from '../harness/service-with-servers.ts';

/**
 * The service with its own servers, for clients that are processes too. Its disposal stops the service and does
 * not kill it: a service that does not stop in order is an error.
 *
 * @param environment the variables that an operator would set in addition to those of the servers
 */
export async function startInteropService(
  environment: Record<string, string> = {},
): Promise<ServiceWithServers> {
  const service = await startServiceWithServers({ environment });
  return {
    ...service,
    async [Symbol.asyncDispose]() {
      await using _ = service;
      await service.stop();
    },
  };
}
