import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import { expect, it } from 'vitest';
import { UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { parseS3Key } from '../../src/files/rules/s3-key.ts';
import { ampleCall } from '../harness/deadline.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { LONG } from '../harness/long-form.ts';
import { putTo } from '../harness/put.ts';
import { newUser } from '../harness/random.ts';
import { s3Environment } from '../harness/s3-environment.ts';
import { type ServiceProcess, startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { newestOf, wrongOf, wrongOrder } from './crash-consumer.ts';
import { content } from './crash-fixture.ts';
import { type FileClient, keepCalling, Load, oneOf } from './crash-load.ts';
import { PART_BYTES, PartsClient } from './crash-load-multipart.ts';
import type { Content } from './crash-ports.ts';
import { openWorld } from './crash-servers.ts';

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
const CONTENTS_PER_CLIENT = 4;
/** Fewer names than contents, so that keys are taken, get suffixes, have tombstones, and are free again. */
const NAMES = ['a.txt', 'b.txt', 'c.txt'];

/** The consumer refuses some events and is slow, so that a kill finds events in every state. */
const REFUSED_SHARE = 0.1;
const SLOWNESS_MS = 50;

/** Rows age while no process lives, so that sweeps have work and verifications are no longer fresh. */
const PASSES_SECONDS = 600;

const world = forAllTests(openWorld);
const cache = forAllTests(temporaryDirectory);

it('a service that is killed at random under load loses nothing, shows nothing false, and leaves nothing behind', async () => {
  const startMs = performance.now();
  const load = new Load(world);
  const { consumer } = world;
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
  await world.settle(true);
  const { rows } = await world.ports.pool.query<{ s3_key: string }>(
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
  const wrong = [...load.wrong, ...wrongEvents(load, expected), ...(await world.differences(keys))];

  const open = known.filter(({ is }) => is === 'either').length;
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
  process.stdout.write(
    `crashes under load: ${KILLS} kills, ${cutOff} calls cut off, ${load.calls} calls, acknowledged ${load.uploads} uploads, ${load.deletes} deletes, ${load.existing} EXISTING, ${load.lists} lists, ${load.parts} parts, ${load.completes} completed of parts; ${expected.length} files at the end, ${open} deletes without an answer; ${consumer.taken.length} events, ${consumer.duplicates} of them again, ${consumer.refused} refused; ${wrong.length} wrong, ${seconds} s\n`,
  );
  expect(wrong).toEqual([]);
  expect(
    Math.min(cutOff, load.uploads, load.deletes, load.lists, load.parts, consumer.refused),
  ).toBeGreaterThan(0);
}, 900_000);

/** Compares the events that the consumer has taken with what the clients did. */
function wrongEvents(load: Load, there: readonly { key: string; md5: string }[]): string[] {
  const byKey = Map.groupBy(world.consumer.taken, ({ key }) => key);
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
  const databaseUrl = new URL(world.servers.databaseUrl);
  databaseUrl.searchParams.set('application_name', DOOMED);
  return startService({
    environment: {
      DATABASE_URL: databaseUrl.href,
      ...s3Environment(world.servers),
      EVENTS_URL: world.servers.eventsUrl,
      SWEEP_INTERVAL_SECONDS: '1',
      MULTIPART_PART_BYTES: String(PART_BYTES),
      NODE_COMPILE_CACHE: cache.path,
    },
  });
}

/** Statements that the killed process sent may still be committed, until its sessions have ended. */
async function untilItsStatementsHaveEnded(): Promise<void> {
  for (;;) {
    const { rowCount } = await world.ports.pool.query(
      'select from pg_stat_activity where datname = current_database() and application_name = $1',
      [DOOMED],
    );
    if (rowCount === 0) return;
    await sleep(5);
  }
}

async function timePasses(kill: number, clients: readonly LoadClient[]): Promise<void> {
  await world.pass(PASSES_SECONDS);
  // No client holds a URL for the key of a deleted file any more, so tombstones may become purgeable and
  // their keys free.
  if (kill % 2 === 0) {
    for (const client of clients) client.forgetKeysOfTheDeleted();
    await world.ports.pool.query(
      `update files set url_expire_at = url_expire_at - interval '26 hours', due_at = now() where state = 'deleted'`,
    );
  }
}

interface Known {
  content: Content;
  key: string;
  /** `either`: a delete got no answer. */
  is: 'there' | 'absent' | 'either';
  /** Whether the key certainly belongs to this file. */
  mayDelete: boolean;
}

/**
 * Creates, uploads, deletes and lists, one call after the other. Only this client uses its contents, while
 * other clients share its user and its filenames. So the client knows exactly which answers are right
 * although other clients interfere.
 */
class LoadClient {
  readonly #load: Load;
  readonly #user: string;
  readonly #contents: Known[];

  constructor(load: Load, user: string, index: number) {
    this.#load = load;
    this.#user = user;
    this.#contents = Array.from({ length: CONTENTS_PER_CLIENT }, (_, i) => ({
      content: content(oneOf(NAMES), `content ${i} of client ${index} of ${user}`),
      key: '',
      is: 'absent',
      mayDelete: false,
    }));
  }

  known(): (Known & { md5: string })[] {
    return this.#contents.map((known) => ({ ...known, md5: known.content.md5 }));
  }

  /**
   * A day after a delete the key may belong to another file, which a delete by this key would then delete.
   */
  forgetKeysOfTheDeleted(): void {
    for (const known of this.#contents) known.mayDelete = known.is === 'there';
  }

  work(): Promise<void> {
    return keepCalling(this.#load, this.#user, (files) => this.#call(files));
  }

  async #call(files: FileClient): Promise<void> {
    const known = oneOf(this.#contents);
    const dice = Math.random();
    if (dice < 0.2) await this.#list(files);
    else if (dice < 0.5 && known.mayDelete) await this.#delete(files, known);
    else await this.#create(files, known);
  }

  async #create(files: FileClient, known: Known): Promise<void> {
    const { filename, bytes, md5 } = known.content;
    const answer = await files.createPresignedUpload({ filename, mimeType: 'text/plain', md5 });
    const { type, s3Key, presignedUrl, requiredHeaders } = answer;
    if (type === UploadType.EXISTING) {
      this.#load.existing++;
      this.#claim(known.is !== 'absent', `EXISTING: ${s3Key}, but the upload was not acknowledged`);
      this.#claim(known.key === s3Key, `EXISTING: ${s3Key}, but the key was ${known.key}`);
      const seen = await this.#load.world.ports.objects.head(ampleCall(), parseS3Key(s3Key));
      this.#claim(
        seen?.fingerprint === Buffer.from(md5, 'base64').toString('hex'),
        `EXISTING: ${s3Key}, and the bucket does not hold it`,
      );
      known.is = 'there';
      known.mayDelete = true;
      return;
    }
    this.#claim(known.is !== 'there', `NEW: ${s3Key}, but ${known.key} was acknowledged`);
    known.is = 'absent';
    known.key = s3Key;
    known.mayDelete = true;
    if (Math.random() < 0.1) return;
    this.#load.file(s3Key, md5).deeds.add('uploaded');
    const { status } = await putTo(presignedUrl, requiredHeaders, bytes);
    this.#claim(status === 200, `PUT ${s3Key}: ${status}`);
    this.#load.uploads++;
    known.is = 'there';
  }

  async #delete(files: FileClient, known: Known): Promise<void> {
    const before = known.is;
    if (before === 'there') known.is = 'either';
    try {
      await this.#load.delete(files, known.key, known.content.md5);
    } catch (error) {
      if (!(error instanceof ConnectError) || error.code !== Code.NotFound) throw error;
      this.#claim(before !== 'there', `delete ${known.key}: not found, but the upload was acknowledged`);
    }
    known.is = 'absent';
  }

  async #list(files: FileClient): Promise<void> {
    const { files: listed } = await files.listFiles({ pageSize: 1_000 });
    this.#load.lists++;
    const keys = new Map(listed.map(({ md5, s3Key }) => [md5, s3Key]));
    for (const known of this.#contents) {
      const key = keys.get(known.content.md5);
      if (known.is === 'either') {
        known.is = key === undefined ? 'absent' : 'there';
        known.mayDelete ||= known.is === 'there';
      }
      const expected = known.is === 'there' ? known.key : undefined;
      this.#claim(key === expected, `list: ${key} for ${known.content.md5}, but the key is ${expected}`);
    }
  }

  #claim(holds: boolean, what: string): void {
    this.#load.claim(holds, this.#user, what);
  }
}
