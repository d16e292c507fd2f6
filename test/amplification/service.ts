import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type ExternalServers, externalServers } from '../e2e/external-servers.ts';
import { type ServiceProcess, startService } from '../harness/service-process.ts';
import type { Port } from './methods.ts';
import { openProbe, type Probe } from './probe-client.ts';

const GATEWAY_TOKEN = 'the-gateways-very-own-token';

/** What a gateway sends with a call of this user. */
export function gateway(userId: string): Record<string, string> {
  return { 'x-gateway-token': GATEWAY_TOKEN, 'x-user-id': userId };
}

/** No proof; what a stranger can send beside it is made up. */
export const STRANGER: Readonly<Record<string, string>> = { 'x-user-id': 'mallory' };

/** The service as `npm start` starts it, heap and all, with the probe inside. */
export interface ProbedService {
  readonly process: ServiceProcess;
  readonly probe: Probe;
  readonly ports: Record<Port, number>;
}

/** Starts one, and another one after a case has ended it: one fault does not hide the others. */
export interface ServiceKeeper extends AsyncDisposable {
  alive(): Promise<ProbedService>;
  /** Ends one that does not answer any more. */
  end(): Promise<void>;
}

export async function keepService(): Promise<ServiceKeeper> {
  const servers = await externalServers();
  let current: ProbedService | undefined;
  const end = async () => {
    current?.probe[Symbol.dispose]();
    await current?.process[Symbol.asyncDispose]();
    current = undefined;
  };
  return {
    async alive() {
      if (current?.probe.isLost) await end();
      current ??= await start(servers);
      return current;
    },
    end,
    async [Symbol.asyncDispose]() {
      await end();
      await servers[Symbol.asyncDispose]();
    },
  };
}

async function start(servers: ExternalServers): Promise<ProbedService> {
  // Short: a Unix socket's path has at most 107 bytes.
  const socket = join(tmpdir(), `probe-${randomBytes(6).toString('hex')}`);
  const probe = pathToFileURL(join(import.meta.dirname, 'probe.ts')).href;
  const process = await startService({
    environment: {
      ...servers.environment,
      MIGRATE_ON_START: 'true',
      GATEWAY_AUTH: 'token',
      GATEWAY_TOKENS: GATEWAY_TOKEN,
      NODE_OPTIONS: `--expose-gc --import=${probe}`,
      PROBE_SOCKET: socket,
    },
  });
  return {
    process,
    probe: await openProbe(socket),
    ports: { gRPC: Number(process.grpc.split(':')[1]), HTTP: Number(new URL(process.http).port) },
  };
}
