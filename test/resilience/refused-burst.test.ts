import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { cpuMicroseconds } from '../bench/cpu.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { startServiceWithServers } from '../harness/service-with-servers.ts';
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

/**
 * The time that an orchestrator may wait for `/livez`, compared with the CPU time of all streams, because all
 * of them may be handled before `/livez`.
 */
const BURST_MAX_MS = 250;

/** The median of the tries counts, because code is compiled during the first tries. */
const TRIES = 5;

/** A little below STREAMS_PER_CONNECTION_MAX, so that the service handles all of the streams. */
const STREAMS = 990;

const service = forAllTests(() =>
  startServiceWithServers({
    environment: { GATEWAY_AUTH: 'token', GATEWAY_TOKENS: 'a-token-of-the-gateway' },
  }),
);

async function costOf(port: number, headers: [string, string][]): Promise<number> {
  using raw = await openRawHttp2(port);
  raw.socket.write(frame(FRAME.headers, FLAG.endHeaders, 1, indexingBlock(headers)));
  await sleep(20);
  // 17 kB, which the service reads at once.
  const streams = Array.from({ length: STREAMS }, (_, index) =>
    frame(FRAME.headers, FLAG.endHeaders, 2 * index + 3, indexedBlock(headers)),
  );
  const startUs = await cpuMicroseconds(service.pid);
  raw.socket.write(Buffer.concat(streams));
  // The first answer comes after the streams were handled, the second after their cleanup.
  for (let asked = 0; asked < 2; asked++) {
    await sleep(20);
    await fetch(`${service.http}/livez`);
  }
  return ((await cpuMicroseconds(service.pid)) - startUs) / 1_000;
}

const LIST = '/files.v1.FileService/ListFiles';
const REFLECTION = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
const KINDS = {
  'gRPC calls': grpcHeaders(LIST),
  'Connect calls': grpcHeaders(LIST, { 'content-type': 'application/json' }),
  'reflection streams': grpcHeaders(REFLECTION),
} satisfies Record<string, [string, string][]>;

test('990 streams without proof in one packet cost less than 250 ms of CPU on either port', async (context) => {
  const costs: Record<string, number> = {};
  for (const [name, headers] of Object.entries(KINDS)) {
    for (const [port, number] of Object.entries(service.ports)) {
      const tries: number[] = [];
      for (let tried = 0; tried < TRIES; tried++) tries.push(await costOf(number, headers));
      costs[`${name}, ${port} port`] = tries.sort((a, b) => a - b)[(TRIES - 1) / 2] ?? 0;
    }
  }
  const figures = Object.entries(costs).map(([name, ms]) => `${name}: ${ms.toFixed(0)} ms`);
  report(context, 'less than 250 ms, the time that /livez may wait', figures.join(', '));
  for (const [name, ms] of Object.entries(costs)) expect(ms, name).toBeLessThan(BURST_MAX_MS);
});
