import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { LONG } from '../harness/long-form.ts';
import { newUser } from '../harness/random.ts';
import { s3Environment } from '../harness/s3-environment.ts';
import { type ServiceProcess, startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { newestOf, wrongOf, wrongOrder } from './crash-consumer.ts';
import { openCrashFixture } from './crash-fixture.ts';
import { Load } from './crash-load.ts';
import { LoadClient } from './crash-load-client.ts';
import { PART_BYTES, PartsClient } from './crash-load-multipart.ts';

const KILLS = LONG ? 100 : 5;

/**
 * A process serves for a random time before it is killed: long enough that every client is somewhere in a
 * call.
 */
const LIFE_MIN_MS = 100;
const LIFE_MAX_MS = 1_200;

const USERS = 4;
const CLIENTS_PER_USER = 3;
/**
 * How many of these users also have a client for multipart uploads. There are few, because a part has 5 MiB
 * here.
 */
const USERS_WITH_PARTS = 2;

/** The consumer refuses some events and is slow, so that a kill finds events in every state. */
const REFUSED_SHARE = 0.1;
const SLOWNESS_MS = 50;

/** Rows age while no process lives, so that sweeps have work and verifications are no longer fresh. */
const PASSES_SECONDS = 600;

const fixture = forAllTests(() => openCrashFixture());
const cache = forAllTests(temporaryDirectory);

it('a service that is killed at random under load loses nothing, shows nothing false, and leaves nothing behind', async () => {
  const startMs = performance.now();
  const load = new Load(fixture);
  const { consumer } = fixture;
  Object.assign(consumer, { refuses: REFUSED_SHARE, slownessMs: SLOWNESS_MS });
  const users = Array.from({ length: USERS }, newUser);
  const clients = users.flatMap((user) =>
    Array.from({ length: CLIENTS_PER_USER }, (_, index) => new LoadClient(load, user, index)),
  );
  const multipartClients = users.slice(0, USERS_WITH_PARTS).map((user) => new PartsClient(load, user));
  const working = [...clients, ...multipartClients].map((client) => client.work());
  let cutOff = 0;
  for (let kill = 1; kill <= KILLS; kill++) {
    const service = await start();
    load.serve(service);
    await sleep(LIFE_MIN_MS + Math.random() * (LIFE_MAX_MS - LIFE_MIN_MS));
    cutOff += load.underWay;
    service.kill('SIGKILL');
    await service.exit;
    await untilItsStatementsHaveEnded();
    if (kill === KILLS) load.end();
    else await timePasses(kill, clients);
  }
  await Promise.all(working);

  Object.assign(consumer, { refuses: 0, slownessMs: 0 });
  await fixture.settle(true);
  const { rows } = await fixture.ports.pool.query<{ s3_key: string }>(
    `select s3_key from files where state = 'ready'`,
  );
  const ready = new Set(rows.map(({ s3_key }) => s3_key));
  const known = [
    ...clients.flatMap((client) => client.known()),
    ...multipartClients.map((client) => client.known()),
  ];
  const expected = known
    // If the last call got no answer, both outcomes are right.
    .filter(({ key, is }) => is === 'there' || (is === 'either' && ready.has(key)));
  const keys = expected.map(({ key }) => key);
  const wrong = [...load.wrong, ...wrongEvents(load, expected), ...(await fixture.differences(keys))];

  const open = known.filter(({ is }) => is === 'either').length;
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
  process.stdout.write(
    `crashes under load: ${KILLS} kills, ${cutOff} calls cut off, ${load.calls} calls, acknowledged ${load.uploads} uploads, ${load.deletes} deletes, ${load.existing} EXISTING, ${load.batches} batches, ${load.lists} lists, ${load.parts} parts, ${load.completes} completed of parts; ${expected.length} files at the end, ${open} deletes without an answer; ${consumer.taken.length} events, ${consumer.duplicates} of them again, ${consumer.refused} refused; ${wrong.length} wrong, ${seconds} s\n`,
  );
  expect(wrong).toEqual([]);
  expect(
    Math.min(cutOff, load.uploads, load.deletes, load.lists, load.batches, load.parts, consumer.refused),
  ).toBeGreaterThan(0);
}, 900_000);

/** Compares the events that the consumer has taken with what the clients did. */
function wrongEvents(load: Load, there: readonly { key: string; md5: string }[]): string[] {
  const byKey = Map.groupBy(fixture.consumer.taken, ({ key }) => key);
  const wrong = [...byKey.values()].flatMap((ofKey) => [
    ...ofKey.flatMap((event) => wrongOf(event, ofKey, load.file(event.key, event.md5).deeds)),
    ...wrongOrder(ofKey),
  ]);
  for (const { key, md5 } of there) {
    const newest = newestOf(byKey.get(key) ?? []);
    if (newest?.change !== 'READY' || newest.md5 !== md5)
      wrong.push(
        `the newest event of ${key} is ${newest?.change} of ${newest?.md5}, and not READY of ${md5}`,
      );
  }
  // A tombstone stays until its DELETED was taken, so each delete has an event of its own.
  for (const { key, md5, deletes, deletesSent } of load.files()) {
    const deleted = (byKey.get(key) ?? []).filter((event) => event.change === 'DELETED' && event.md5 === md5);
    const events = new Set(deleted.map(({ revision }) => revision)).size;
    if (events < deletes || events > deletesSent)
      wrong.push(`${events} DELETED of ${key}, of ${deletesSent} deletes of which ${deletes} were answered`);
  }
  return wrong;
}

const DOOMED = 'doomed';

async function start(): Promise<ServiceProcess> {
  const databaseUrl = new URL(fixture.servers.databaseUrl);
  databaseUrl.searchParams.set('application_name', DOOMED);
  return startService({
    environment: {
      DATABASE_URL: databaseUrl.href,
      ...s3Environment(fixture.servers),
      EVENTS_URL: fixture.consumer.url.href,
      SWEEP_INTERVAL_SECONDS: '1',
      MULTIPART_PART_BYTES: String(PART_BYTES),
      NODE_COMPILE_CACHE: cache.path,
    },
  });
}

/** Statements that the killed process sent may still be committed, until its sessions have ended. */
async function untilItsStatementsHaveEnded(): Promise<void> {
  for (;;) {
    const { rowCount } = await fixture.ports.pool.query(
      'select from pg_stat_activity where datname = current_database() and application_name = $1',
      [DOOMED],
    );
    if (rowCount === 0) return;
    await sleep(5);
  }
}

async function timePasses(kill: number, clients: readonly LoadClient[]): Promise<void> {
  await fixture.pass(PASSES_SECONDS);
  // No client holds a URL for the key of a deleted file any more, so tombstones may become purgeable and
  // their keys free.
  if (kill % 2 === 0) {
    for (const client of clients) client.forgetKeysOfTheDeleted();
    await fixture.ports.pool.query(
      `update files set url_expire_at = url_expire_at - interval '26 hours', due_at = now() where state = 'deleted'`,
    );
  }
}
