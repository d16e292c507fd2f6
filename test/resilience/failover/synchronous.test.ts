import { expect, type TestContext, test, vi } from 'vitest';
import { main } from '../../e2e/main.ts';
import { LONG } from '../../harness/long-form.ts';
import { total } from '../../harness/metrics.ts';
import { describeWith } from '../../interop/describe-with.ts';
import type { PostgresPair } from '../../servers/postgres-pair.ts';
import { endure, until } from '../outage.ts';
import { report } from '../outcome.ts';
import { AcknowledgedCalls, differences } from './acknowledged-calls.ts';
import { missing, startFailoverServers, WAYS, type Way } from './servers.ts';

vi.setConfig({ testTimeout: 120_000 });

/** The short form shares its machine with other tests. */
const FULL_SERVICE_MAX_MS = LONG ? 3_000 : 5_000;
const FULL_SERVICE = `full service is back within ${FULL_SERVICE_MAX_MS / 1_000} s`;

/** How many deletes are acknowledged at least before the primary is lost. */
const ACKNOWLEDGED_MIN = 30;

describeWith('a synchronous failover', missing, () => {
  test.for(WAYS)(
    `kill -9 of a synchronous primary, through %s: nothing is lost or undone, and ${FULL_SERVICE}`,
    (way, context) => failOver(context, way, (pair) => pair.killPrimary()),
  );

  test.runIf(LONG).for(WAYS)(
    `a synchronous primary that hangs, through %s: nothing is lost or undone, and ${FULL_SERVICE}`,
    (way, context) => failOver(context, way, (pair) => pair.freezePrimary()),
  );
});

async function failOver(context: TestContext, way: Way, losePrimary: (pair: PostgresPair) => Promise<void>) {
  await using servers = await startFailoverServers(way, true);
  const { pair, services } = servers;
  const recorded = new AcknowledgedCalls(servers.client);
  await recorded.uploadFirst(20);

  const seen = await endure(services[0], recorded.calls(), {
    begin: async () => {
      await until(() => recorded.count('deleted') >= ACKNOWLEDGED_MIN, 20_000);
      await losePrimary(pair);
    },
    end: async () => {
      // A failover manager makes sure that the old primary is gone.
      await pair.killPrimary();
      await pair.promoteStandby();
    },
    shortMs: 1_000,
    longMs: 10_000,
  });
  expect(seen.failed.length).toBeGreaterThan(0);
  expect(seen.recoveredMs).toBeLessThan(FULL_SERVICE_MAX_MS);

  const { files, wrong } = recorded;
  expect([...wrong, ...(await differences(files))]).toEqual([]);
  const [uploads, deletes] = [recorded.count('ready'), recorded.count('deleted')];
  expect(Math.min(uploads, deletes)).toBeGreaterThanOrEqual(ACKNOWLEDGED_MIN);
  for (const { http, exit } of services) {
    expect(await total(http, 'files_stray_errors_total')).toBe(0);
    expect(await Promise.race([exit, 'never restarted'])).toBe('never restarted');
  }
  expect(await main('reconcile', servers.environment)).toMatchObject({ code: 0 });
  report(
    context,
    'nothing lost or undone, no restart; then serves',
    `${uploads} uploads and ${deletes} deletes acknowledged; ${seen.figure}`,
  );
}
