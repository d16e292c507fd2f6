import type pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { anyFreePort } from '../../src/dev/postgres/free-port.ts';
import { type Breakers, createBreakers } from '../../src/overload/circuit-breaker.ts';
import { createWriteProbe } from '../../src/server/backends/write-probe.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { startSynchronousPostgres } from '../harness/synchronous-postgres.ts';
import { waitFor } from '../harness/wait-for.ts';

const postgres = forAllTests(() => startSynchronousPostgres());

let breakers: Breakers;
let sent: string[];
beforeEach(() => {
  breakers = createBreakers();
  sent = [];
});
function openBreaker(): void {
  for (let i = 0; i < 3; i++) breakers.writes.onFailure();
}

const probes: ReturnType<typeof createWriteProbe>[] = [];
afterEach(async () => {
  await postgres.recover();
  await Promise.all(probes.splice(0).map((probe) => probe.stop()));
});

function probeAt(change: (url: URL) => void = () => undefined) {
  const url = new URL(postgres.url);
  change(url);
  const observe = <Result>(name: string, run: () => Promise<Result>) => {
    sent.push(name);
    return run();
  };
  const probe = createWriteProbe({ urls: [url.href] }, observe, breakers);
  probes.push(probe);
  return probe;
}

async function sessions(): Promise<pg.QueryResult['rows']> {
  const { rows } = await postgres.admin.query(
    `select from pg_stat_activity where application_name = 'file-service'`,
  );
  return rows;
}

it('sends nothing while the breaker of writes is closed', async () => {
  expect(await probeAt().writesWork(1_000)).toBe(true);
  expect(sent).toEqual([]);
});

it('closes the breaker when commits no longer hang, and occupies one session until then', async () => {
  const probe = probeAt();
  await postgres.hang();
  openBreaker();
  let waitingMax = 0;
  // Longer than the time of one probe.
  for (const end = Date.now() + 4_000; Date.now() < end; ) {
    expect(await probe.writesWork(200)).toBe(false);
    waitingMax = Math.max(waitingMax, await postgres.waiting());
  }
  expect(waitingMax).toBe(1);
  await postgres.recover();
  expect(await probe.writesWork(3_000)).toBe(true);
  expect(breakers.writes.open).toBe(false);
  await waitFor(async () => expect(await sessions()).toEqual([]));
});

it.each<[string, (url: URL) => void]>([
  [
    'the server is read-only',
    (url) => url.searchParams.set('options', '-c default_transaction_read_only=on'),
  ],
  ['no server listens on the port', (url) => (url.port = String(freePort))],
])('keeps the breaker open while %s', async (_, change) => {
  openBreaker();
  expect(await probeAt(change).writesWork(3_000)).toBe(false);
});
const freePort = await anyFreePort();

it('closes the breaker when Postgres refuses the probe, so that calls find out whether writes work', async () => {
  openBreaker();
  expect(await probeAt((url) => (url.password = 'wrong')).writesWork(3_000)).toBe(true);
});
