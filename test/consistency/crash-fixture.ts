import { refOf } from '../../src/files/maintenance/sweep.ts';
import { parseS3Key } from '../../src/files/rules/s3-key.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { LEAST_PART_BYTES, openTestBucket, type TestBucket } from '../harness/bucket.ts';
import { createDatabase } from '../harness/database.ts';
import { ampleCall, ampleWork } from '../harness/deadline.ts';
import { passTime } from '../harness/pass-time.ts';
import { type Consumer, openConsumer } from './crash-consumer.ts';
import { openDispatch } from './crash-dispatch.ts';
import { openPorts, type Ports, type Servers } from './crash-ports.ts';

/** A database, a bucket and a consumer that outlive every killed process, and the instance that is started afterwards. */
export interface CrashFixture extends AsyncDisposable {
  servers: Servers;
  bucket: TestBucket;
  consumer: Consumer;
  ports: Ports;
  /** Sweeps all due rows, or those of one user. The due rows of the other users are leased all the same. */
  sweep(userId?: string): Promise<void>;
  /** Delivers all due events, or those of one user. */
  deliver(userId?: string): Promise<void>;
  /** Makes all rows older. */
  pass(seconds: number): Promise<void>;
  /**
   * Ages all rows, sweeps and delivers until no row and no event is due.
   *
   * @param isConsumerAway whether the consumer is away until all tombstones could have been purged
   */
  settle(isConsumerAway?: boolean): Promise<void>;
  /**
   * Compares table, bucket and unfinished uploads with the acknowledged keys. Returns the differences, or an
   * empty list.
   */
  differences(acknowledged: Iterable<string>): Promise<string[]>;
}

const MINUTE_SECONDS = 60;
/** A week for the upload, a day for the longest PUT, and time for a lease. */
const WRITE_WINDOW_SECONDS = (8 * 24 + 1) * 3_600;
/** A tombstone needs three rounds: leased before it is purgeable, leased when it is purgeable, gone. */
const TOMBSTONE_ROUNDS = 3;
/** A lost file expires first. */
const ROUNDS_MAX = 12;

/** @param hasEvents whether the service delivers events to the consumer. Default: it does */
export async function openCrashFixture(hasEvents = true): Promise<CrashFixture> {
  const [database, bucket] = await Promise.all([
    createDatabase(),
    openTestBucket({ minPartBytes: LEAST_PART_BYTES }),
  ]);
  const { endpoint, region, credentials } = bucket;
  const consumer = await openConsumer(
    async (s3Key) => (await ports.objects.head(ampleCall(), parseS3Key(s3Key))) !== undefined,
  );
  const servers = {
    ...{ endpoint, region, credentials, bucket: bucket.bucket },
    ...{ databaseUrl: database.url, eventsUrl: hasEvents ? consumer.url.href : undefined },
  };
  const ports = openPorts(servers);
  const dispatch = openDispatch(ports.events, consumer.url.href);
  await migrate(ports.pool);

  const sweep = async (userId?: string) => {
    const deadline = Date.now() + 30_000;
    for (;;) {
      const batch = await ports.store.leaseDue(ampleWork(), 50, 60);
      if (batch.length === 0) return;
      const own = batch.filter((due) => userId === undefined || refOf(due).userId === userId);
      await Promise.all(own.map((due) => ports.sweepOne({ userId: refOf(due).userId, deadline }, due)));
    }
  };

  const deliver = async (userId?: string) => {
    for (;;) {
      const { rowCount } = await ports.pool.query(
        'select from files where event_due_at <= now() and ($1::text is null or user_id = $1)',
        [userId],
      );
      if (rowCount === 0) return;
      const leased = await ports.events.leaseEvents(ampleWork(), 100, 60);
      const [own = [], others = []] = [true, false].map((isOwn) =>
        leased.filter((event) => isOwn === (userId === undefined || event.userId === userId)),
      );
      await Promise.all(own.map(dispatch.deliver));
      const atOnce = others.map((event) => ({ ...event, pauseSeconds: 0, isCounted: false }));
      await ports.events.postponeEvents(ampleWork(), atOnce);
    }
  };

  const pass = (seconds: number) => passTime(ports.pool, seconds);

  return {
    servers,
    bucket,
    consumer,
    ports,
    sweep,
    deliver,
    pass,
    async settle(isConsumerAway = false) {
      // First while all URLs are valid, then after all have expired.
      await pass(MINUTE_SECONDS);
      await sweep();
      for (let round = 0; round < ROUNDS_MAX; round++) {
        const { rowCount } = await ports.pool.query(
          'select from files where due_at is not null or event_due_at is not null',
        );
        if (rowCount === 0) return;
        if (!isConsumerAway || round > TOMBSTONE_ROUNDS) await deliver();
        await pass(WRITE_WINDOW_SECONDS);
        await sweep();
      }
    },
    async differences(acknowledged) {
      const { rows } = await ports.pool.query<{
        user_id: string;
        s3_key: string;
        state: string;
        md5: string;
      }>(`select user_id, s3_key, state, encode(substr(fingerprint, 1, 16), 'hex')
           || case when octet_length(fingerprint) > 16 then '-' || get_byte(fingerprint, 17) else '' end as md5
         from files`);
      const objects = new Set(await bucket.keys());
      const uploads = await bucket.uploads();
      const truth = new Set(acknowledged);
      const ready = new Set(rows.filter(({ state }) => state === 'ready').map(({ s3_key }) => s3_key));
      const found = [
        ...rows
          .filter(({ state }) => state !== 'ready')
          .map((row) => `left behind, ${row.state}: ${row.s3_key}`),
        ...outside(ready, objects).map((key) => `ghost, a READY row without an object: ${key}`),
        ...outside(objects, ready).map((key) => `orphan, an object without a READY row: ${key}`),
        ...outside(truth, ready).map((key) => `lost, acknowledged and not there: ${key}`),
        ...outside(ready, truth).map((key) => `there, and deleted or never uploaded: ${key}`),
        ...uploads.map(({ key }) => `left behind, an upload in parts: ${key}`),
        ...ports.observer,
      ];
      const contents = rows.map(async ({ s3_key, md5 }) => {
        const object = await ports.objects.head(ampleCall(), parseS3Key(s3_key));
        if (object !== undefined && object.fingerprint !== md5)
          found.push(`other bytes than the row says: ${s3_key}`);
      });
      await Promise.all(contents);
      const users = new Set(rows.map(({ user_id }) => user_id));
      for (const user of users) {
        const answer = await ports.perform(user, { method: 'list' });
        const expected = [...ready].filter((key) => key.startsWith(`${user}_`)).sort();
        if (JSON.stringify(answer) !== JSON.stringify({ heard: 'list', keys: expected })) {
          found.push(`${user} sees ${JSON.stringify(answer)} and not ${expected.join(', ')}`);
        }
      }
      return found;
    },
    async [Symbol.asyncDispose]() {
      dispatch.close();
      await ports.close();
      await consumer[Symbol.asyncDispose]();
      await database.drop();
      await bucket.stop();
    },
  };
}

function outside(keys: Set<string>, other: Set<string>): string[] {
  return [...keys].filter((key) => !other.has(key));
}
