import { afterAll, expect, it, vi } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { startServiceWithServers } from '../harness/service-with-servers.ts';
import { expectAlive } from './alive.ts';
import { report } from './outcome.ts';
import { SLOW_CLIENTS } from './slow-clients.ts';

vi.setConfig({ testTimeout: 60_000 });

/** A service of its own, because the floods of abusive-clients.test.ts would change the measured times. */
const service = forAllTests(() => startServiceWithServers());
afterAll(() => service.stop());

it('ends the stream or the connection of slow clients', async (context) => {
  const clients = (['gRPC', 'HTTP'] as const).flatMap((port) =>
    Object.entries(SLOW_CLIENTS[port]).map(
      async ([name, run]): Promise<[string, number]> => [`${port}: ${name}`, await run(service.ports[port])],
    ),
  );
  const times = await Promise.all(clients);
  const longest = Math.max(...times.map(([, ms]) => ms));
  for (const [name, ms] of times) {
    expect(ms, name).toBeGreaterThan(4_500);
    // An unread answer may take twice the limit, and more on a busy machine. Limits for idle connections
    // begin at 60 s, so they did not end these clients.
    expect(ms, name).toBeLessThan(30_000);
  }
  await expectAlive(service);
  report(
    context,
    'the stream is reset, or the connection closed; lives',
    `${times.length} kinds, the longest ${(longest / 1_000).toFixed(1)} s`,
  );
});
