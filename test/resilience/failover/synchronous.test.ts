import { expect, test, vi } from 'vitest';
import { main } from '../../e2e/main.ts';
import { total } from '../../harness/metrics.ts';
import { describeWith } from '../../interop/describe-with.ts';
import { endure, until } from '../outage.ts';
import { report } from '../outcome.ts';
import { AcknowledgedCalls, differences } from './acknowledged-calls.ts';
import { missing, startFailoverServers, WAYS } from './servers.ts';

vi.setConfig({ testTimeout: 120_000 });

const FULL_SERVICE_MAX_MS = 3_000;

/** How many deletes are acknowledged at least before the primary is killed. */
const ACKNOWLEDGED_MIN = 30;

describeWith('a synchronous failover', missing, () => {
  test.for(WAYS)(
    'a synchronous failover through %s loses and undoes nothing, and full service is back within 3 s',
    async (way, context) => {
      await using servers = await startFailoverServers(way, true);
      const { pair, services } = servers;
      const recorded = new AcknowledgedCalls(servers.client);
      await recorded.uploadFirst(20);

      const seen = await endure(services[0], recorded.calls(), {
        begin: async () => {
          await until(() => recorded.count('deleted') >= ACKNOWLEDGED_MIN, 20_000);
          await pair.killPrimary();
        },
        end: () => pair.promoteStandby(),
        shortMs: 1_000,
        longMs: 10_000,
      });
      expect(seen.failed.length).toBeGreaterThan(0);
      expect(seen.recoveredMs).toBeLessThan(FULL_SERVICE_MAX_MS);

      const { files, wrong } = recorded;
      expect([...wrong, ...(await differences(files))]).toEqual([]);
      for (const state of ['ready', 'deleted'] as const)
        expect(recorded.count(state)).toBeGreaterThanOrEqual(ACKNOWLEDGED_MIN);
      for (const { http, exit } of services) {
        expect(await total(http, 'files_stray_errors_total')).toBe(0);
        // A service that had ended would not have answered.
        expect(await Promise.race([exit, 'runs'])).toBe('runs');
      }
      expect(await main('reconcile', servers.environment)).toMatchObject({ code: 0 });
      report(
        context,
        'nothing lost or undone, no restart; then serves',
        `${recorded.count('ready')} uploads and ${recorded.count('deleted')} deletes acknowledged; ${seen.figure}`,
      );
    },
  );
});
