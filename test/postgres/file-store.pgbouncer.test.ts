import { describe, expect, test } from 'vitest';
import type { Pooler } from '../../src/postgres/connection/database.ts';
import { migrateAt } from '../../src/postgres/migrate.ts';
import { createDatabase } from '../harness/database.ts';
import { STORE_LIMITS } from '../harness/store-limits.ts';
import { startPgbouncer } from '../servers/pgbouncer.ts';
import { findServer } from '../servers/server-program.ts';
import { fileStoreContract } from './file-store.ts';
import { multipartContract } from './file-store-multipart.ts';
import { openStore } from './open-store.ts';

const program = await findServer('pgbouncer');

function through(pooler: Pooler) {
  return async (databaseUrl: string) => ({ ...(await startPgbouncer(program ?? '', databaseUrl)), pooler });
}

if (program === undefined) {
  describe('the store through pgbouncer', () => {
    test.skipIf(!process.env.CI)(
      'not run: pgbouncer is not installed (Debian: apt-get install pgbouncer)',
      () => {
        expect.fail('pgbouncer must be installed in CI');
      },
    );
  });
} else {
  for (const contract of [fileStoreContract, multipartContract]) {
    contract('the store through pgbouncer in transaction mode', (limits) =>
      openStore(limits, { through: through('transaction') }),
    );
  }

  test('four instances migrate the schema through pgbouncer at once, and one of them runs each migration', async () => {
    await using database = await createDatabase();
    const { url, stop } = await startPgbouncer(program, database.url);
    const runs = await Promise.all([1, 2, 3, 4].map(() => migrateAt(url, 'transaction')));
    // One run did all the migrations.
    expect(runs.filter((done) => done.length > 0)).toHaveLength(1);
    expect(runs.flat().map(({ status }) => status)).toEqual(['Success']);
    expect(await migrateAt(url, 'transaction')).toEqual([]);
    await stop();
  });

  test('pgbouncer refuses connections when the store is not configured for a pooler', async () => {
    const { store, close } = await openStore(STORE_LIMITS, { through: through('none') });
    const found = store.find({ userId: 'ada', s3Key: 'a' });
    await expect(found).rejects.toMatchObject({
      reason: 'DATABASE_UNAVAILABLE',
      cause: { message: expect.stringContaining('unsupported startup parameter: statement_timeout') },
    });
    await close();
  });
}
