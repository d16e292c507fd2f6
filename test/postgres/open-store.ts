import pg from 'pg';
import type { EventQueue } from '../../src/files/ports/event-queue.ts';
import type { FileStore } from '../../src/files/ports/file-store.ts';
import type { RowInventory } from '../../src/files/ports/inventories.ts';
import { createDatabase } from '../../src/postgres/connection/database.ts';
import { createPool, type PoolOptions } from '../../src/postgres/connection/pool.ts';
import type { Pooler } from '../../src/postgres/connection/session-settings.ts';
import { createEventQueue } from '../../src/postgres/file-store/event-queue.ts';
import { createFileStore } from '../../src/postgres/file-store.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { createRowInventory } from '../../src/postgres/row-inventory.ts';
import type { StoreLimits } from '../../src/postgres/store-limits.ts';
import { createDatabase as createTestDatabase } from '../harness/database.ts';
import { type PatientStore, patient } from '../harness/deadline.ts';
import { passTime } from '../harness/pass-time.ts';

export interface OpenStore {
  /** The store with a deadline that no call misses. */
  store: PatientStore;
  /** The store with the port's own signatures, deadlines included. */
  port: FileStore;
  events: EventQueue;
  rows: RowInventory;
  /** Creates a store of another instance of the service. */
  openInstance(limits?: Partial<StoreLimits>): FileStore;
  /** Creates the queue of another instance of the service. */
  openQueue(): EventQueue;
  /** Connects to Postgres directly, without the pooler. */
  pool: pg.Pool;
  /** Makes every row older. Times that come from S3 stay. */
  shiftTime(seconds: number): Promise<void>;
  close(): Promise<void>;
}

interface Setup {
  /** Changes the tables after the migration. */
  arrange?: (pool: pg.Pool) => Promise<void>;
  /** Starts a pooler between the store and Postgres. */
  through?: (databaseUrl: string) => Promise<{ url: string; pooler: Pooler; stop(): Promise<void> }>;
}

/** Opens a store on a new, migrated database. */
export async function openStore(limits: StoreLimits, { arrange, through }: Setup = {}): Promise<OpenStore> {
  const database = await createTestDatabase();
  const pool = new pg.Pool({ connectionString: database.url, max: 4 });
  pool.on('error', () => undefined);
  await migrate(pool);
  await arrange?.(pool);
  const pooler = await through?.(database.url);
  const poolOptions = {
    urls: [pooler?.url ?? database.url],
    pooler: pooler?.pooler ?? 'none',
    maxConnections: 16,
    connectTimeoutMs: 10_000,
    statementTimeoutMs: 10_000,
    onIdleError: () => undefined,
  } satisfies PoolOptions;
  const storePool = createPool(poolOptions);
  const openDatabase = () => createDatabase(storePool, (_, run) => run(), poolOptions);
  const openInstance = (over: Partial<StoreLimits> = {}) =>
    createFileStore(openDatabase(), { ...limits, ...over });
  const openQueue = () => createEventQueue(openDatabase());
  const port = openInstance();
  return {
    store: patient(port),
    port,
    events: openQueue(),
    rows: createRowInventory(storePool, openDatabase(), limits),
    openInstance,
    openQueue,
    pool,
    shiftTime: (seconds) => passTime(pool, seconds),
    async close() {
      await storePool.end();
      await pooler?.stop();
      await pool.end();
      await database.drop();
    },
  };
}
