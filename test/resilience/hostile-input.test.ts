import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { LONG } from '../harness/long-form.ts';
import { total } from '../harness/metrics.ts';
import { residentMb } from '../harness/resident-memory.ts';
import type { ServiceProcess } from '../harness/service-process.ts';
import { startServiceWithServers } from '../harness/service-with-servers.ts';
import { GATEWAY_TOKEN, type HostileInput, hostileInput } from './hostile-inputs.ts';
import { report } from './outcome.ts';
import { askOn } from './raw-calls.ts';

const INPUTS = LONG ? 100_000 : 2_000;
/** Inputs that are sent at once, over as few connections as a gateway has. */
const BATCH = 50;
/** After this many inputs the heap, the pool and the caches have their final sizes. */
const WARM_UP = INPUTS / 5;
/** TEST_SEED=… repeats the same inputs in the same order. */
const SEED = Number(process.env.TEST_SEED ?? Date.now() % 2 ** 31);

vi.setConfig({ testTimeout: LONG ? 1_800_000 : 60_000 });

/**
 * Texts of INTERNAL errors that gRPC's specification demands, for bytes that cannot be decoded or
 * decompressed.
 */
const UNDECODABLE =
  /Error deserializing request|parse binary|Failed to decompress|decompression failed|know how to decompress/;

test('the service survives hostile headers, frames, messages, tokens and users', async (context) => {
  await using service = await startServiceWithServers({
    environment: { GATEWAY_AUTH: 'token', GATEWAY_TOKENS: GATEWAY_TOKEN },
  });
  const counts = new Map<string, number>();
  await put(service, WARM_UP, SEED, counts);
  await sleep(1_000);
  const beforeMb = await residentMb(service.pid);
  counts.clear();

  await put(service, INPUTS, SEED + 1, counts);

  // The heap shrinks only with the next garbage collections, so the test waits.
  const withinMb = beforeMb * (LONG ? 0.2 : 0.5);
  await vi.waitFor(
    async () => expect(Math.abs((await residentMb(service.pid)) - beforeMb)).toBeLessThan(withinMb),
    { timeout: 20_000, interval: 500 },
  );
  const afterMb = await residentMb(service.pid);
  expect(counts.get('INTERNAL') ?? 0).toBe(0);
  expect(await total(service.http, 'files_stray_errors_total')).toBe(0);
  const files = service.client({ 'x-user-id': 'ada', 'x-gateway-token': GATEWAY_TOKEN });
  await files.listFiles({});
  await service.stop();
  const sum = [...counts].sort(([, a], [, b]) => b - a).map(([outcome, n]) => `${n} × ${outcome}`);
  report(
    context,
    `0 crashes, 0 INTERNAL but for ${counts.get('undecodable') ?? 0} that cannot be decoded`,
    `${INPUTS} inputs (seed ${SEED}), RSS ${beforeMb.toFixed(0)} → ${afterMb.toFixed(0)} MB; ${sum.join(', ')}`,
  );
});

/**
 * Sends the inputs in batches. On a failure fast-check prints the batch, and the seed and path that repeat
 * it.
 */
async function put(service: ServiceProcess, inputs: number, seed: number, counts: Map<string, number>) {
  const batch = fc.array(hostileInput, { minLength: BATCH, maxLength: BATCH });
  let ended = false;
  void service.exit.then(() => {
    ended = true;
  });
  const property = fc.asyncProperty(batch, async (some) => {
    for (const outcome of await send(service, some)) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    expect(ended).toBe(false);
  });
  await fc.assert(property, { seed, numRuns: inputs / BATCH, endOnFailure: true });
}

async function send(service: ServiceProcess, inputs: HostileInput[]): Promise<string[]> {
  const sessions = {
    gRPC: connectHttp2(`http://${service.grpc}`).on('error', () => {}),
    HTTP: connectHttp2(service.http).on('error', () => {}),
  };
  const { ports } = service;
  try {
    return await Promise.all(
      inputs.map(async (input) => {
        if (input.kind === 'bytes') return dump(ports[input.port], input.bytes);
        const { outcome, text } = await askOn(sessions[input.port], input.headers, input.body);
        if (!/grpc 13$|^500$/.test(outcome)) return outcome;
        if (UNDECODABLE.test(text.replaceAll('%20', ' '))) return 'undecodable';
        throw new Error(`INTERNAL: ${text}`);
      }),
    );
  } finally {
    sessions.gRPC.destroy();
    sessions.HTTP.destroy();
  }
}

/** Writes the bytes and closes the connection soon after, which the service must survive too. */
function dump(port: number, bytes: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.once('data', () => socket.destroy());
    socket.setTimeout(50, () => socket.destroy());
    socket.on('error', () => {}).once('close', () => resolve('bytes'));
  });
}
