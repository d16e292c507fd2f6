import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type ExternalServers, externalServers } from '../harness/external-servers.ts';
import { type ServiceProcess, startService } from '../harness/service-process.ts';
import type { Port } from './methods.ts';
import { openProbe, type Probe } from './probe-client.ts';

const GATEWAY_TOKEN = 'the-gateways-very-own-token';

/** The token of the S3 server that sends hints to `/storage-events`. */
export const HINTS_TOKEN = 'the-tokens-of-the-s3-server';

/** The headers that a gateway sends with a call of this user. */
export function gateway(userId: string): Record<string, string> {
  return { 'x-gateway-token': GATEWAY_TOKEN, 'x-user-id': userId };
}

/** The headers of a caller that is no gateway: it names a user, but has no gateway token. */
export const STRANGER: Readonly<Record<string, string>> = { 'x-user-id': 'mallory' };

/** The service, started as by `npm start` with the same heap limit, and the probe loaded into it. */
export interface ProbedService {
  readonly process: ServiceProcess;
  readonly probe: Probe;
  readonly ports: Record<Port, number>;
}

/**
 * Starts the service, and starts it again after a case has ended it, so that one failing case does not hide
 * others.
 */
export interface ServiceKeeper extends AsyncDisposable {
  /** The variables that name the database and the bucket of the service. */
  readonly servers: Readonly<Record<string, string>>;
  alive(): Promise<ProbedService>;
  /** Ends a service that does not answer any more. */
  end(): Promise<void>;
}

/** @param environment variables for the service, in addition to its usual ones */
export async function keepService(environment: Record<string, string> = {}): Promise<ServiceKeeper> {
  const servers = await externalServers();
  let current: ProbedService | undefined;
  const end = async () => {
    current?.probe[Symbol.dispose]();
    await current?.process[Symbol.asyncDispose]();
    current = undefined;
  };
  return {
    servers: servers.environment,
    async alive() {
      if (current?.probe.isLost) await end();
      current ??= await start(servers, environment);
      return current;
    },
    end,
    async [Symbol.asyncDispose]() {
      await end();
      await servers[Symbol.asyncDispose]();
    },
  };
}

async function start(servers: ExternalServers, environment: Record<string, string>): Promise<ProbedService> {
  // The path is short, because the path of a Unix socket has at most 103 bytes on macOS.
  const socket = join(tmpdir(), `probe-${randomBytes(6).toString('hex')}`);
  const probe = pathToFileURL(join(import.meta.dirname, 'probe.ts')).href;
  const process = await startService({
    environment: {
      ...servers.environment,
      MIGRATE_ON_START: 'true',
      GATEWAY_AUTH: 'token',
      GATEWAY_TOKENS: GATEWAY_TOKEN,
      STORAGE_EVENTS_TOKEN: HINTS_TOKEN,
      NODE_OPTIONS: `--expose-gc --import=${probe}`,
      PROBE_SOCKET: socket,
      ...environment,
    },
  });
  return {
    process,
    probe: await openProbe(socket),
    ports: { gRPC: Number(process.grpc.split(':')[1]), HTTP: Number(new URL(process.http).port) },
  };
}
