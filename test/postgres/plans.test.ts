import { createHash } from 'node:crypto';
import pg from 'pg';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { listFiles } from '../../src/files/operations/list-files.ts';
import type { Database } from '../../src/postgres/connection/database.ts';
import * as batches from '../../src/postgres/statements/batch-reservations.ts';
import * as checks from '../../src/postgres/statements/checks.ts';
import * as eventBatches from '../../src/postgres/statements/events/batches.ts';
import * as events from '../../src/postgres/statements/events/deliveries.ts';
import type { Forms } from '../../src/postgres/statements/forms.ts';
import * as uploads from '../../src/postgres/statements/multipart.ts';
import type { Prepared } from '../../src/postgres/statements/prepared.ts';
import * as reads from '../../src/postgres/statements/reads.ts';
import * as reservations from '../../src/postgres/statements/reservations.ts';
import * as sweeps from '../../src/postgres/statements/sweeps.ts';
import * as transitions from '../../src/postgres/statements/transitions.ts';
import { ampleCall } from '../harness/deadline.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { LONG } from '../harness/long-form.ts';
import { openPlannedDatabase } from './planned-database.ts';

const statements = {
  ...reservations,
  ...batches,
  ...reads,
  ...transitions,
  ...sweeps,
  ...uploads,
  ...checks,
  ...events,
  ...eventBatches,
};

/** READY files of one user, who has no pending files. */
const BIG = LONG ? 1_000_000 : 20_000;
/** READY files of 8,000 users with ten files each. A generic plan expects ten files for every user. */
const OTHERS_READY = 80_000;
/** Pending files, all due as after an outage. */
const DUE = 20_000;

/** Every fourth of these files has an event that was not delivered yet, as after an outage of the consumer. */
const UNDELIVERED = `case when i % 4 = 0 then now() - i * interval '1 ms' end`;

vi.setConfig({ testTimeout: 60_000, hookTimeout: 600_000 });

type Name = keyof typeof statements;

type AnyStatement = Prepared<never, unknown> | Forms<never, unknown>;

/** The form for a service that delivers events, of a statement that has two forms. */
const announcedForm = (name: string) => `${name}, announced`;

/** Every statement, and both forms of a statement that has two. */
const PREPARED: Record<string, Prepared<never, unknown>> = Object.fromEntries(
  Object.entries<AnyStatement>(statements).flatMap(([name, statement]) =>
    'silent' in statement
      ? [
          [name, statement.silent],
          [announcedForm(name), statement.announced],
        ]
      : [[name, statement]],
  ),
);

interface Expectation {
  /** The only indexes that the plan may use. It must never scan the whole table. */
  indexes: string[];
  /** The maximum of 8 kB pages that the plan reads, of the table and the indexes together. */
  buffersMax: number;
}

// The number of pages for finding one row by an index: three or four levels of the index, and the page of the row.
const PROBE = 5;
const ROW_BY_KEY: Expectation = { indexes: ['files_pkey'], buffersMax: 2 * PROBE };
/** Writing a row adds its new version to every index that contains the row. */
const WRITE_BY_KEY: Expectation = { indexes: ['files_pkey'], buffersMax: 12 * PROBE };

/** Finds pending uploads by keys that have only the hash of a user id. */
const HASHED_KEYS = 'files_pending_hashed';

/** Has every statement of the service. A new statement needs an entry, which is for both forms of the statement. */
const EXPECTED: Record<Name, Expectation> = {
  reserve: { indexes: ['files_content'], buffersMax: 12 * PROBE },
  explainConflict: { indexes: ['files_pkey', 'files_content', 'files_pending_slot'], buffersMax: 6 * PROBE },
  updateIntent: WRITE_BY_KEY,
  updateIntentBefore0002: WRITE_BY_KEY,
  findContents: { indexes: ['files_content'], buffersMax: 100 * 2 * PROBE },
  findKeys: { indexes: ['files_pkey'], buffersMax: 100 * 2 * PROBE },
  renewMany: { indexes: ['files_pkey'], buffersMax: 100 * 12 * PROBE },
  createMany: { indexes: ['files_pending_slot'], buffersMax: 100 * 12 * PROBE },
  releaseSlots: { indexes: ['files_pending_slot', 'files_pkey'], buffersMax: 12 * PROBE },
  find: ROW_BY_KEY,
  findMany: { indexes: ['files_pkey'], buffersMax: 100 * 2 * PROBE },
  hasSeveralTypes: ROW_BY_KEY,
  listFirstPage: { indexes: ['files_ready', 'files_pending'], buffersMax: 101 + 2 * PROBE },
  // The plan reads the pages of 101 rows, one path down the index, and the further index pages that hold the entries of
  // these rows. After inserts in random order, index pages are half full.
  listNextPage: { indexes: ['files_ready'], buffersMax: 101 + 2 * PROBE },
  searchFirstPage: { indexes: ['files_ready', 'files_pending'], buffersMax: 101 + 2 * PROBE },
  searchNextPage: { indexes: ['files_ready'], buffersMax: 101 + 2 * PROBE },
  markReady: WRITE_BY_KEY,
  markReadyMany: { indexes: ['files_pkey'], buffersMax: 100 * 12 * PROBE },
  markLost: WRITE_BY_KEY,
  markDeleted: WRITE_BY_KEY,
  confirmTombstone: WRITE_BY_KEY,
  expireUpload: WRITE_BY_KEY,
  clearSweep: WRITE_BY_KEY,
  // The statement finds the users, finds the oldest row of each user, locks these rows and writes them.
  leaseDue: { indexes: ['files_due', 'files_due_by_user', 'files_pkey'], buffersMax: 101 * 14 * PROBE },
  reschedule: WRITE_BY_KEY,
  purge: WRITE_BY_KEY,
  oldestDue: { indexes: ['files_due'], buffersMax: 2 * PROBE },
  findUpload: ROW_BY_KEY,
  renewUpload: WRITE_BY_KEY,
  setUploadId: WRITE_BY_KEY,
  makeDue: { indexes: ['files_pkey'], buffersMax: 100 * 12 * PROBE },
  makeHashedDue: { indexes: [HASHED_KEYS, 'files_pkey'], buffersMax: 100 * 12 * PROBE },
  schemaCheck: { indexes: [], buffersMax: 0 },
  writeCheck: { indexes: [], buffersMax: 0 },
  leaseEvents: {
    indexes: ['files_event_due', 'files_event_due_by_user', 'files_pkey'],
    buffersMax: 101 * 14 * PROBE,
  },
  // The statement also reads the rows of the first thousand and the last thousand events.
  oldestEvent: { indexes: ['files_event_due'], buffersMax: 2_000 + 30 * PROBE },
  acknowledgeEvents: { indexes: ['files_pkey'], buffersMax: 100 * 12 * PROBE },
  postponeEvents: { indexes: ['files_pkey'], buffersMax: 100 * 12 * PROBE },
  replayEvents: { indexes: ['files_pkey'], buffersMax: 100 * 14 * PROBE },
  replayEventsOfUser: { indexes: ['files_pkey'], buffersMax: 100 * 14 * PROBE },
  dropEvents: { indexes: ['files_event_due', 'files_pkey'], buffersMax: 100 * 14 * PROBE },
};

/** The indexes of the sweeper's queue and of the queue of events. */
const QUEUES = ['files_due', 'files_event_due'];
const QUEUES_BY_USER = ['files_due_by_user', 'files_event_due_by_user'];

const expectedOf = (name: string): Expectation => EXPECTED[name.replace(announcedForm(''), '') as Name];
const EXPECTATIONS = Object.keys(PREPARED).map((name) => [name, expectedOf(name)] as const);

/** The numbers of the files of a batch. */
const BATCH = Array.from({ length: 100 }, (_, i) => i * 7 + 1);

/** The statements run for the user who has the most files. */
const PARAMS = {
  userId: 'big',
  s3Key: 'big_00000777.pdf',
  s3Keys: BATCH.map((i) => `big_${String(i).padStart(8, '0')}.pdf`),
  fingerprint: Buffer.alloc(16),
  fingerprints: BATCH.map((i) => createHash('md5').update(`${i}`).digest()),
  filenames: BATCH.map((i) => `new ${i}.pdf`),
  mimeTypes: BATCH.map(() => 'application/pdf'),
  sizes: BATCH.map(() => 5),
  etags: BATCH.map(() => 'etag'),
  modifiedTimes: BATCH.map(() => new Date()),
  filename: 'a.pdf',
  mimeType: 'application/pdf',
  size: 5,
  etag: 'etag',
  slot: 7,
  lowestSlot: 1,
  highestSlot: 1_000,
  filenamePrefix: '',
  limit: 101,
  examinedMax: 10_000,
  pendingExaminedMax: 10_000,
  lastUser: '',
  leaseNumber: 1,
  dueFrom: new Date(0),
  pendingLimit: 300,
  afterTime: new Date(),
  afterKey: 'z',
  lastModified: new Date(),
  verifiedAt: new Date(),
  leaseSeconds: 60,
  urlSeconds: 3_600,
  lifeSeconds: 3_600,
  multipartSeconds: 604_800,
  partSize: 5,
  partMd5s: Buffer.alloc(16),
  uploadId: 'upload',
  before: 'upload before',
  verificationTtlSeconds: 900,
  longestUploadSeconds: 86_400,
  userIds: BATCH.map(() => 'big'),
  revisions: BATCH.map(() => 7),
  pauses: BATCH.map(() => 60),
  attempts: BATCH.map(() => 1),
  since: new Date(0),
  afterUser: 'bif',
};

let pool: pg.Pool;
/** @param eventDueAt an SQL expression of the row's number `i` */
async function fill(
  user: string,
  rows: number,
  state: 'ready' | 'pending',
  eventDueAt = 'null::timestamptz',
): Promise<void> {
  const values =
    state === 'ready'
      ? `i, md5(i::text), now() - i * interval '1 minute', now(), null, null`
      : `null, null, null, null, now() - i * interval '1 s', i / 1000 + 1`;
  await pool.query(`
    insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, create_time, url_expire_at,
      size, etag, last_modified, verified_at, due_at, pending_slot, event_due_at)
    select ${user}, ${user} || '_' || lpad(i::text, 8, '0') || '.pdf', '${state}', 'document ' || i || '.pdf',
      'application/pdf', decode(md5(i::text), 'hex'), now() - i * interval '1 minute', now(), ${values}, ${eventDueAt}
    from generate_series(1, ${rows}) i order by random()`);
}

interface Node {
  'Node Type': string;
  'Index Name'?: string;
  'Index Cond'?: string;
  'Join Type'?: string;
  Filter?: string;
  'Actual Rows': number;
  'Rows Removed by Filter'?: number;
  'Shared Hit Blocks': number;
  'Shared Read Blocks': number;
  Plans?: Node[];
}

interface Plan {
  root: Node;
  nodes: Node[];
  buffers: number;
}

/** Prepares the statement as the service does. The returned EXECUTE uses the generic plan. */
async function prepareOnce(name: string, params = PARAMS): Promise<string> {
  await pool.query('deallocate all');
  const { text: sql, values } = PREPARED[name] as Prepared<typeof PARAMS, unknown>;
  await pool.query(`prepare statement as ${sql}`);
  const text = (value: unknown) =>
    value instanceof Date
      ? value.toISOString()
      : Buffer.isBuffer(value)
        ? `\\x${value.toString('hex')}`
        : value;
  return `execute statement (${values(params)
    .map((value) => pg.escapeLiteral(String(text(value))))
    .join(', ')})`.replace(' ()', '');
}

/** Explains the statement by running it, and rolls its changes back. */
async function explain(name: string, over: Partial<typeof PARAMS> = {}, format = 'json'): Promise<unknown[]> {
  const execute = await prepareOnce(name, { ...PARAMS, ...over });
  await pool.query('begin');
  const { rows } = await pool.query(`explain (analyze, buffers, timing off, format ${format}) ${execute}`);
  await pool.query('rollback');
  return rows.map((row) => row['QUERY PLAN']);
}

async function plan(name: string, over?: Partial<typeof PARAMS>): Promise<Plan> {
  const [[{ Plan: root }]] = (await explain(name, over)) as [[{ Plan: Node }]];
  const flat = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(flat)];
  return { root, nodes: flat(root), buffers: root['Shared Hit Blocks'] + root['Shared Read Blocks'] };
}

const scans = ({ nodes }: Plan) =>
  nodes.filter((node) => node['Node Type'].match(/Index.*Scan|Seq Scan|Bitmap/));

/**
 * A generic plan expects the mean number of rows for every user: here 13, or 7. It must also be good for the
 * user who has the most rows. Both means are tested, because each of them has led to a bad plan of some
 * statement.
 */
describe.each([{ dueUsers: 1_000 }, { dueUsers: 10_000 }])(
  'with $dueUsers users of pending uploads',
  ({ dueUsers }) => {
    const planned = forAllTests(openPlannedDatabase);
    beforeAll(async () => {
      pool = planned.pool;
      await fill(`'big'`, BIG, 'ready');
      // Users in random order, as rows arrive in production. A table that is sorted by user makes every plan
      // look good.
      await fill(`md5((i % 8000)::text)`, OTHERS_READY, 'ready', UNDELIVERED);
      await fill(`md5('waiting ' || i % ${dueUsers})`, DUE, 'pending');
      await pool.query('vacuum analyze files');
    });

    describe('the generic plan', () => {
      it.each(EXPECTATIONS)('of %s reads only its indexes, and few pages', async (name, expected) => {
        const found = await plan(name);
        const types = found.nodes.map((node) => node['Node Type']);
        expect(types.filter((type) => /Seq Scan|Bitmap/.test(type))).toEqual(
          name.startsWith('schemaCheck') ? ['Seq Scan'] : [],
        );
        expect(new Set(scans(found).flatMap((scan) => scan['Index Name'] ?? []))).toEqual(
          new Set(expected.indexes),
        );
        expect(found.buffers).toBeLessThanOrEqual(expected.buffersMax);
      });

      it.each(EXPECTATIONS)(
        'of %s finds its rows by user, except in the two queues and by a hashed key',
        async (name) => {
          for (const scan of scans(await plan(name))) {
            const index = scan['Index Name'] ?? '';
            if (name.startsWith('schemaCheck') || QUEUES.includes(index) || index === HASHED_KEYS) continue;
            // The second index of a queue is also read from one user to the next. A replay reads all users.
            const isWalk = QUEUES_BY_USER.includes(index) || name === 'replayEvents';
            expect(scan['Index Cond']).toMatch(
              isWalk ? /user_id( [=>] |, s3_key\) > )|user_id = / : /user_id = /,
            );
          }
        },
      );

      // A join may compare each slot with each upload of the user, if Postgres expects few uploads.
      it.each(['createMany', announcedForm('createMany'), 'explainConflict'])(
        'of %s looks for free slots in a hash table of the taken ones',
        async (name) => {
          const { nodes } = await plan(name);
          expect(nodes.filter((node) => node['Join Type'] === 'Anti')).toEqual([]);
          expect(nodes.filter((node) => node.Filter?.includes('hashed SubPlan'))).toHaveLength(1);
        },
      );

      it.each(Object.keys(PREPARED))('of %s is made once and not for each call', async (name) => {
        const execute = await prepareOnce(name);
        await pool.query('begin');
        for (let i = 0; i < 3; i++) await pool.query(execute);
        await pool.query('rollback');
        const { rows } = await pool.query(
          `select generic_plans::int, custom_plans::int from pg_prepared_statements where name = 'statement'`,
        );
        expect(rows).toEqual([{ generic_plans: 3, custom_plans: 0 }]);
      });

      // With a wrong type, Postgres would not use the index.
      it('has the right type for every parameter', async () => {
        const types: Record<string, string> = {};
        for (const name of Object.keys(PREPARED).sort()) {
          await prepareOnce(name);
          const { rows } = await pool.query(
            `select array_to_string(parameter_types, ' ') as types from pg_prepared_statements where name = 'statement'`,
          );
          types[name] = rows[0].types
            .replaceAll('double precision', 'float8')
            .replaceAll('timestamp with time zone', 'time');
        }
        expect(types).toMatchInlineSnapshot(`
          {
            "acknowledgeEvents": "text[] text[] bigint[]",
            "clearSweep": "text text",
            "confirmTombstone": "text text",
            "createMany": "text integer integer float8 text[] bytea[] text[] text[] bigint[]",
            "createMany, announced": "text integer integer float8 text[] bytea[] text[] text[] bigint[]",
            "dropEvents": "bigint",
            "expireUpload": "text text float8",
            "expireUpload, announced": "text text float8",
            "explainConflict": "text text bytea integer integer",
            "find": "text text float8",
            "findContents": "text bytea[] float8",
            "findKeys": "text text[]",
            "findMany": "text text[] float8",
            "findUpload": "text text",
            "hasSeveralTypes": "text text",
            "leaseDue": "bigint float8 time bigint text float8",
            "leaseEvents": "bigint float8 time bigint text",
            "listFirstPage": "text text float8 bigint bigint",
            "listNextPage": "text text float8 bigint time text",
            "makeDue": "text[] text[]",
            "makeHashedDue": "text[]",
            "markDeleted": "text text float8",
            "markDeleted, announced": "text text float8",
            "markLost": "text text time",
            "markLost, announced": "text text time",
            "markReady": "text text bigint text text time",
            "markReady, announced": "text text bigint text text time",
            "markReadyMany": "text text[] bigint[] text[] text[] time[]",
            "markReadyMany, announced": "text text[] bigint[] text[] text[] time[]",
            "oldestDue": "time",
            "oldestEvent": "time",
            "postponeEvents": "float8[] smallint[] text[] text[] bigint[]",
            "purge": "text text float8",
            "purge, announced": "text text float8",
            "releaseSlots": "text integer integer",
            "renewMany": "text text[] float8",
            "renewMany, announced": "text text[] float8",
            "renewUpload": "text text float8",
            "replayEvents": "bigint text text time",
            "replayEventsOfUser": "text bigint text time",
            "reschedule": "text text float8",
            "reschedule, announced": "text text float8",
            "reserve": "text text bytea text text bigint bigint bytea float8 smallint float8",
            "reserve, announced": "text text bytea text text bigint bigint bytea float8 smallint float8",
            "schemaCheck": "",
            "schemaCheck, announced": "",
            "searchFirstPage": "text text float8 bigint bigint bigint bigint",
            "searchNextPage": "time text text text float8 bigint bigint",
            "setUploadId": "text text text text",
            "updateIntent": "text text text text bigint",
            "updateIntentBefore0002": "text text text text bigint",
            "writeCheck": "",
          }
        `);
      });
    });

    describe('a user with very many READY files and none pending', () => {
      it('reads the pending half of a first page with one probe of an empty index', async () => {
        const found = await plan('listFirstPage');
        const [half] = scans(found).filter((scan) => scan['Index Name'] === 'files_pending');
        expect((half?.['Shared Hit Blocks'] ?? 0) + (half?.['Shared Read Blocks'] ?? 0)).toBeLessThanOrEqual(
          PROBE,
        );
        expect(found.nodes.map((node) => node['Node Type'])).toEqual([
          'Append',
          'Limit',
          'Index Scan',
          'Limit',
          'Index Scan',
        ]);
        if (LONG) {
          const text = (await explain('listFirstPage', {}, 'text')).join('\n');
          process.stdout.write(`\nA first page of ${BIG} READY files, none pending:\n${text}\n\n`);
        }
      });

      it('gets each page, also the first, with one statement and without a call to S3', async () => {
        const run: string[] = [];
        const counting: Database = {
          ...planned.database,
          run(work, statement, params) {
            run.push(statement.name);
            return planned.database.run(work, statement, params);
          },
        };
        const store = planned.openStore(counting);
        const callS3 = () => expect.fail('S3 was called');
        const list = listFiles({
          store,
          objects: { head: callS3 },
          observer: { contentMismatch: callS3, partsMismatch: callS3, fileLost: callS3, stepFailed: callS3 },
        });
        const page = async (pageToken: string) =>
          list(ampleCall('big'), { pageSize: 100, pageToken, filenamePrefix: '' });
        const first = await page('');
        expect(first.files).toHaveLength(100);
        expect(run).toEqual(['list_first_page']);
        const second = await page(first.nextPageToken);
        expect(second.files).toHaveLength(100);
        expect(run).toEqual(['list_first_page', 'list_next_page']);
      });

      it('reads a page far behind at the cost of the second page', async () => {
        const { rows } = await pool.query(
          `select last_modified, s3_key from files where user_id = 'big' order by last_modified, s3_key offset 150 limit 1`,
        );
        const second = await plan('listNextPage');
        const last = await plan('listNextPage', {
          afterTime: rows[0].last_modified,
          afterKey: rows[0].s3_key,
        });
        expect(scans(last).map((scan) => scan['Index Cond'])).toEqual(
          scans(second).map((scan) => scan['Index Cond']),
        );
        expect(scans(last)[0]?.['Index Cond']).toContain('ROW(last_modified, s3_key) < ROW(');
        expect(last.buffers).toBeLessThanOrEqual(2 * second.buffers + PROBE);
      });

      it.each(['searchFirstPage', 'searchNextPage'] as const)(
        'reads few pages in %s for a common prefix, and at most 10,000 files, each once, for a rare prefix',
        async (name) => {
          // The plans of the writes above were rolled back. `markReadyMany` left a hundred dead entries at the newest end
          // of the index. A vacuum without `index_cleanup` may leave so few entries there.
          await pool.query('vacuum (index_cleanup on) files');
          const common = await plan(name, { filenamePrefix: 'document' });
          expect(common.buffers).toBeLessThanOrEqual(EXPECTED[name].buffersMax);
          const rare = scans(await plan(name, { filenamePrefix: 'rare' }));
          expect(rare.map((scan) => scan['Index Name'])).toEqual(EXPECTED[name].indexes);
          const examined = rare.map((scan) => scan['Actual Rows'] + (scan['Rows Removed by Filter'] ?? 0));
          expect(examined).toEqual([10_000, 0].slice(0, rare.length));
        },
      );
    });

    it('every index except those of the two queues and of hashed keys begins with the user', async () => {
      const { rows } = await pool.query<{ name: string; leads: string }>(`
    select i.indexrelid::regclass::text as name, a.attname as leads
    from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = 'files'::regclass`);
      const others = rows.filter(({ leads }) => leads !== 'user_id').map(({ name }) => name);
      expect(others.sort()).toEqual([...QUEUES, HASHED_KEYS]);
    });

    it('the sweeper’s index leaves out READY files, which are nearly all of the table', async () => {
      const { rows } = await pool.query(
        `select reltuples::int as entries from pg_class where relname = 'files_due'`,
      );
      // Postgres estimates the number from a sample, so it may be off by a tenth. With the READY files, the
      // index would have five to fifty times as many entries.
      expect(rows[0].entries).toBeGreaterThan(DUE / 2);
      expect(rows[0].entries).toBeLessThan(DUE * 2);
    });
  },
);
