import pg from 'pg';
import type { FileStore } from '../../src/files/ports.ts';
import {
  createDatabase,
  createPool,
  type Pooler,
  type PoolOptions,
} from '../../src/postgres/connection/database.ts';
import { createFileStore, type StoreLimits } from '../../src/postgres/file-store.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { createDatabase as createTestDatabase } from '../harness/database.ts';
import { type PatientStore, patient } from '../harness/deadline.ts';

export interface OpenStore {
  /** Every call of it has all the time that it needs. */
  store: PatientStore;
  /** As the service has it. */
  port: FileStore;
  /** Straight to the rows, past any pooler. */
  pool: pg.Pool;
  /** Lets time pass for every row. S3's own times stay. */
  shiftTime(seconds: number): Promise<void>;
  close(): Promise<void>;
}

interface Way {
  /** What was made of the migration's tables. */
  arrange?: (pool: pg.Pool) => Promise<void>;
  /** What stands in between. */
  through?: (databaseUrl: string) => Promise<{ url: string; pooler: Pooler; stop(): Promise<void> }>;
}

/** A store on a migrated database of its own. */
export async function openStore(limits: StoreLimits, { arrange, through }: Way = {}): Promise<OpenStore> {
  const database = await createTestDatabase();
  const pool = new pg.Pool({ connectionString: database.url, max: 4 });
  pool.on('error', () => undefined);
  await migrate(pool);
  await arrange?.(pool);
  const pooler = await through?.(database.url);
  const poolOptions = {
    url: pooler?.url ?? database.url,
    pooler: pooler?.pooler ?? 'none',
    maxConnections: 16,
    connectTimeoutMs: 10_000,
    statementTimeoutMs: 10_000,
    onIdleError: () => undefined,
  } satisfies PoolOptions;
  const storePool = createPool(poolOptions);
  const port = createFileStore(
    createDatabase(storePool, (_, run) => run(), poolOptions),
    limits,
  );
  return {
    store: patient(port),
    port,
    pool,
    async shiftTime(seconds) {
      await pool.query(
        `update files set create_time = create_time - $1 * interval '1 s', verified_at = verified_at - $1 * interval '1 s',
           url_expire_at = url_expire_at - $1 * interval '1 s', due_at = due_at - $1 * interval '1 s'`,
        [seconds],
      );
    },
    async close() {
      await storePool.end();
      await pooler?.stop();
      await pool.end();
      await database.drop();
    },
  };
}
