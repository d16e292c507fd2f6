import { type ServiceWithServers, startServiceWithServers } from '../harness/service-with-servers.ts';

/**
 * The service with its own servers, for clients that are processes too. Its disposal stops the service and does
 * not kill it: a service that does not stop in order is an error.
 */
export async function startInteropService(): Promise<ServiceWithServers> {
  const service = await startServiceWithServers();
  return {
    ...service,
    async [Symbol.asyncDispose]() {
      await using _ = service;
      await service.stop();
    },
  };
}
