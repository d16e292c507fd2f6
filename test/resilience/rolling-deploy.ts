import { setTimeout as sleep } from 'node:timers/promises';
import { anyFreePort } from '../../src/dev/postgres/free-port.ts';
import { main } from '../e2e/main.ts';
import { externalServers } from '../harness/external-servers.ts';
import { type LaunchedService, launchService } from '../harness/service-process.ts';

/** An instance of a deployment. Its ports stay the same when its process is replaced. */
export interface Instance {
  /** `127.0.0.1:<port>` */
  readonly grpc: string;
  /** `http://127.0.0.1:<port>` */
  readonly http: string;
  /**
   * Sends SIGTERM, and starts a new process on the same ports. @returns the time in ms that the old process
   * took to stop
   */
  replace(): Promise<number>;
}

interface Deployment extends AsyncDisposable {
  readonly instances: readonly Instance[];
  /** Replaces one instance after the other. @returns the time in ms that each took to stop */
  roll(times: number): Promise<number[]>;
}

/**
 * Gives clients time to notice that an instance is back before the next instance stops, as orchestrators do.
 */
const SETTLE_MS = 500;

const POLL_MS = 20;

/** Starts instances of the service with default settings, on a common Postgres and a common bucket. */
export async function deploy(count: number): Promise<Deployment> {
  await using starting = new AsyncDisposableStack();
  const { environment } = starting.use(await externalServers());
  const migrated = await main('migrate', environment);
  if (migrated.code !== 0) throw new Error(migrated.stderr);
  const instances: Instance[] = [];
  for (let started = 0; started < count; started++) {
    instances.push(starting.use(await startInstance(environment)));
  }
  const started = starting.move();
  return {
    instances,
    async roll(times) {
      const stopsMs: number[] = [];
      for (const instance of roundRobin(instances, times)) {
        await sleep(SETTLE_MS);
        stopsMs.push(await instance.replace());
      }
      return stopsMs;
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

function* roundRobin(instances: readonly Instance[], times: number): Generator<Instance> {
  for (let left = times; left > 0; ) {
    for (const instance of instances.slice(0, left)) {
      yield instance;
      left--;
    }
  }
}

async function startInstance(environment: Record<string, string>): Promise<Instance & AsyncDisposable> {
  const [grpcPort, httpPort] = [await anyFreePort(), await anyFreePort()];
  const http = `http://127.0.0.1:${httpPort}`;
  const settings = {
    ...environment,
    GRPC_PORT: String(grpcPort),
    HTTP_PORT: String(httpPort),
    // `launchService` sets the delay to 0. The empty value restores the default of the service.
    STOP_DELAY_SECONDS: '',
  };
  const start = async () => {
    const service = launchService({ environment: settings });
    while (!(await isReady(http))) await sleep(POLL_MS);
    return service;
  };
  let service: LaunchedService = await start();
  return {
    grpc: `127.0.0.1:${grpcPort}`,
    http,
    async replace() {
      const startMs = performance.now();
      service.kill('SIGTERM');
      const { code, signal } = await service.untilGone();
      const tookMs = performance.now() - startMs;
      if (code !== 0) throw new Error(`the service ended with ${signal ?? code}\n${service.printed.stderr}`);
      service = await start();
      return tookMs;
    },
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
}

async function isReady(http: string): Promise<boolean> {
  try {
    const response = await fetch(`${http}/readyz`);
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

export interface LoadBalancer extends Disposable {
  /** The HTTP address of the next instance, round-robin among those that were ready at the last check. */
  choose(): string;
}

/** Ten checks within the second for which a stop is delayed (STOP_DELAY_SECONDS). */
const CHECK_INTERVAL_MS = 100;

/** A load balancer that knows the last answer of `/readyz` of each instance. */
export function balance(instances: readonly Instance[]): LoadBalancer {
  const ready = new Set(instances);
  let turn = 0;
  let stopped = false;
  const watch = async (instance: Instance) => {
    while (!stopped) {
      if (await isReady(instance.http)) ready.add(instance);
      else ready.delete(instance);
      await sleep(CHECK_INTERVAL_MS);
    }
  };
  for (const instance of instances) void watch(instance);
  return {
    choose() {
      const chosen = [...ready][turn++ % ready.size];
      if (chosen === undefined) throw new Error('no instance is ready');
      return chosen.http;
    },
    [Symbol.dispose]() {
      stopped = true;
    },
  };
}
