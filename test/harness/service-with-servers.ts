import { type ExternalServers, externalServers } from './external-servers.ts';
import { type LaunchOptions, type ServiceProcess, startService } from './service-process.ts';

/** The service with a database and a bucket outside of it, which are closed with the service. */
export interface ServiceWithServers extends ServiceProcess {
  readonly servers: ExternalServers;
}

/** Starts the service as in production. It brings the schema of its new database up to date. */
export async function startServiceWithServers(options: LaunchOptions = {}): Promise<ServiceWithServers> {
  await using starting = new AsyncDisposableStack();
  const servers = starting.use(await externalServers());
  const environment = { ...servers.environment, MIGRATE_ON_START: 'true', ...options.environment };
  const service = starting.use(await startService({ ...options, environment }));
  const started = starting.move();
  return { ...service, servers, [Symbol.asyncDispose]: () => started.disposeAsync() };
}
