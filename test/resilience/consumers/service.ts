import type pg from 'pg';
import { migrateAt } from '../../../src/postgres/migrate.ts';
import { createDatabase, openPool } from '../../harness/database.ts';
import type { TestObjectStore } from '../../harness/object-store.ts';
import { s3Environment } from '../../harness/s3-environment.ts';
import { type ServiceProcess, startService } from '../../harness/service-process.ts';

export interface ServiceDatabase extends AsyncDisposable {
  readonly database: pg.Pool;
  /** The variables with which each instance uses this database, the bucket and the consumer. */
  readonly environment: Record<string, string> & { DATABASE_URL: string };
}

/** The service process with a database of its own. */
export interface Announcing extends ServiceDatabase {
  readonly service: ServiceProcess;
}

interface ServiceOptions {
  /** Unset: events are off. */
  consumer?: URL;
  /** Fills the database before the service starts. */
  fill?: (database: pg.Pool) => Promise<void>;
}

/** Creates a database for instances that the test starts. */
export async function openServiceDatabase(
  objects: TestObjectStore,
  { consumer, fill }: ServiceOptions = {},
): Promise<ServiceDatabase> {
  const { url, drop } = await createDatabase();
  await migrateAt({ urls: [url] });
  const database = openPool(url, 2);
  await fill?.(database);
  return {
    database,
    environment: {
      DATABASE_URL: url,
      // With events, the sweeper looks once a second at least. Without events it must look as often.
      SWEEP_INTERVAL_SECONDS: '1',
      ...s3Environment(objects),
      ...(consumer && { EVENTS_URL: consumer.href }),
    },
    async [Symbol.asyncDispose]() {
      await database.end();
      await drop();
    },
  };
}

export async function startAnnouncing(
  objects: TestObjectStore,
  options: ServiceOptions = {},
): Promise<Announcing> {
  const opened = await openServiceDatabase(objects, options);
  const { database, environment } = opened;
  const service = await startService({ environment });
  return {
    service,
    database,
    environment,
    async [Symbol.asyncDispose]() {
      await service[Symbol.asyncDispose]();
      await opened[Symbol.asyncDispose]();
    },
  };
}
