import { expect, test, vi } from 'vitest';
import { main } from '../../e2e/main.ts';
import { newUser } from '../../harness/random.ts';
import type { FileClient } from '../../harness/upload.ts';
import { describeWith } from '../../interop/describe-with.ts';
import { startLoad, until } from '../outage.ts';
import { report } from '../outcome.ts';
import { AcknowledgedCalls, differences } from './acknowledged-calls.ts';
import { type FailoverServers, missing, startFailoverServers } from './servers.ts';

vi.setConfig({ testTimeout: 120_000 });

/** How many uploads and how many deletes are acknowledged at least after the standby has received the last byte. */
const LOST_MIN = 15;

describeWith('an asynchronous failover', missing, () => {
  test('an asynchronous failover loses the last rows, reconcile removes nothing, and --adopt brings every object back', async (context) => {
    await using servers = await startFailoverServers('HAProxy', false);
    const { bucket, environment } = servers;
    const reconcile = (...args: string[]) => main('reconcile', environment, args);
    const recorded = new AcknowledgedCalls(servers.client);
    await recorded.uploadFirst(60);

    const sendBytes = await failOverWithLag(servers, recorded);

    const filesIn = (...states: string[]) => recorded.files.filter(({ state }) => states.includes(state));
    const lost = () => differences(filesIn('ready', 'uploaded'));
    const undone = async () => {
      const listed = await recorded.listed();
      return filesIn('deleted').filter(({ s3Key }) => listed.has(s3Key));
    };
    const [{ length: uploads }, { length: deletes }] = [await lost(), await undone()];
    expect(Math.min(uploads, deletes)).toBeGreaterThan(LOST_MIN / 2);
    const keys = (await bucket.keys()).sort();
    for (const args of [[], ['--repair']]) {
      const refused = await reconcile(...args);
      expect(refused.code).toBe(1);
      expect(refused.stdout).toMatch(
        /objects without a row were written from .* Nothing is removed\. .*--adopt/,
      );
    }
    expect((await bucket.keys()).sort()).toEqual(keys);

    const adopted = await reconcile('--adopt');
    expect(adopted.stdout).toContain('table and bucket agree');
    expect(adopted.code).toBe(0);
    expect([...(await lost()), ...(await undone())]).toEqual([]);
    expect(await reconcile()).toMatchObject({ code: 0 });

    for (const send of sendBytes) await send();
    expect(await reconcile('--adopt')).toMatchObject({ code: 0 });
    expect(await reconcile()).toMatchObject({ code: 0 });
    expect([...(await lost()), ...(await undone())]).toEqual([]);
    report(
      context,
      'reconcile refuses; --adopt brings every object back',
      `${uploads} uploads and ${deletes} deletes lost`,
    );
  });
});

/**
 * Kills the primary under load, some time after the standby has received its last byte, and promotes the standby.
 *
 * @returns functions that send the bytes of uploads whose rows were lost
 */
async function failOverWithLag({ pair, client }: FailoverServers, recorded: AcknowledgedCalls) {
  const load = startLoad(recorded.calls());
  const untilDeleted = (count: number) => until(() => recorded.count('deleted') >= count, 20_000);
  await untilDeleted(20);
  await pair.replication.set({ kind: 'hanging' });
  const before = { deletes: recorded.count('deleted'), uploads: recorded.files.length };
  const sendBytes = await Promise.all([recorded.begin(), recorded.begin(), recorded.begin()]);
  await untilDeleted(before.deletes + LOST_MIN);
  await until(() => recorded.files.length >= before.uploads + LOST_MIN, 20_000);
  await pair.killPrimary();
  await load.stop();
  await pair.promoteStandby();
  await untilServed(client(newUser()));
  return sendBytes;
}

/** Waits until both instances have answered several calls in a row. */
async function untilServed(client: FileClient): Promise<void> {
  let inARow = 0;
  await until(async () => {
    await client.listFiles({}).then(
      () => inARow++,
      () => {
        inARow = 0;
      },
    );
    return inARow === 10;
  }, 10_000);
}
