import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type ServiceProcess, startService } from '../harness/service-process.ts';
import { type ExternalServers, externalServers } from '../process/external-servers.ts';
import {
  FLAG,
  FRAME,
  frame,
  grpcHeaders,
  indexedBlock,
  indexingBlock,
  openRawHttp2,
} from './http2-frames.ts';
import { report } from './outcome.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** The median of some tries: a busy machine holds up one of them, and one may be answered before the streams are read. */
const LIVENESS_MAX_MS = 250;

const TRIES = 5;

/** All that a connection may have at once, but for some. */
const STREAMS = 990;

let servers: ExternalServers;
let service: ServiceProcess;
beforeAll(async () => {
  servers = await externalServers();
  service = await startService({
    environment: {
      ...servers.environment,
      MIGRATE_ON_START: 'true',
      GATEWAY_AUTH: 'token',
      GATEWAY_TOKENS: 'a-token-of-the-gateway',
    },
  });
});
afterAll(async () => {
  await service?.[Symbol.asyncDispose]();
  await servers?.[Symbol.asyncDispose]();
});

async function livenessBeside(port: number, headers: [string, string][]): Promise<number> {
  using raw = await openRawHttp2(port);
  raw.socket.write(frame(FRAME.headers, FLAG.endHeaders, 1, indexingBlock(headers)));
  await sleep(20);
  // 17 kB, which the service reads at once.
  const streams = Array.from({ length: STREAMS }, (_, index) =>
    frame(FRAME.headers, FLAG.endHeaders, 2 * index + 3, indexedBlock(headers)),
  );
  raw.socket.write(Buffer.concat(streams));
  const startMs = performance.now();
  await fetch(`${service.http}/livez`);
  return performance.now() - startMs;
}

const LIST = '/files.v1.FileService/ListFiles';
const REFLECTION = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
const KINDS = {
  'gRPC calls': grpcHeaders(LIST),
  'Connect calls': grpcHeaders(LIST, { 'content-type': 'application/json' }),
  'reflection streams': grpcHeaders(REFLECTION),
} satisfies Record<string, [string, string][]>;

test('990 streams without proof in one packet, on either port', async (context) => {
  const slowest: Record<string, number> = {};
  for (const [name, headers] of Object.entries(KINDS)) {
    for (const [port, number] of [
      ['gRPC', Number(service.grpc.split(':')[1])],
      ['HTTP', Number(new URL(service.http).port)],
    ] as const) {
      const tries: number[] = [];
      for (let tried = 0; tried < TRIES; tried++) tries.push(await livenessBeside(number, headers));
      slowest[`${name}, ${port} port`] = tries.sort((a, b) => a - b)[(TRIES - 1) / 2] ?? 0;
    }
  }
  const figures = Object.entries(slowest).map(([name, ms]) => `${name}: ${ms.toFixed(0)} ms`);
  report(context, '/livez answers within 250 ms', figures.join(', '));
  for (const [name, ms] of Object.entries(slowest)) expect(ms, name).toBeLessThan(LIVENESS_MAX_MS);
});
