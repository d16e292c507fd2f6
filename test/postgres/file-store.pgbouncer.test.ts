import { describe, expect, test } from 'vitest';
import type { Pooler } from '../../src/postgres/connection/session-settings.ts';
import { migrateAt } from '../../src/postgres/migrate.ts';
import { createDatabase } from '../harness/database.ts';
import { STORE_LIMITS } from '../harness/store-limits.ts';
import { type PoolMode, startPgbouncer } from '../servers/pgbouncer.ts';
import { findServer } from '../servers/server-program.ts';
import { eventsContract } from './file-events.ts';
import { fileStoreContract } from './file-store.ts';
import { batchContract } from './file-store-batch.ts';
import { multipartContract } from './file-store-multipart.ts';
import { openStore } from './open-store.ts';
import { createRoleWith } from './other-role.ts';

const program = await findServer('pgbouncer');

function through(mode: PoolMode, pooler: Pooler = mode) {
  return async (databaseUrl: string) => ({
    ...(await startPgbouncer(program ?? '', databaseUrl, mode)),
    pooler,
  });
}

function throughAs(settings: Record<string, string>) {
  return async (databaseUrl: string) => {
    const role = await createRoleWith(databaseUrl, settings);
    const pgbouncer = await startPgbouncer(program ?? '', role.url, 'transaction');
    const stop = async () => {
      await pgbouncer.stop();
      await role.drop();
    };
    return { url: pgbouncer.url, pooler: 'transaction' as const, stop };
  };
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
  for (const mode of ['session', 'transaction'] as const) {
    for (const contract of [fileStoreContract, multipartContract, batchContract, eventsContract]) {
      contract(`the store through pgbouncer in ${mode} mode`, (limits) =>
        openStore(limits, { through: through(mode) }),
      );
    }
  }

  // The values that the service reads must have one form, although a pooler in transaction mode keeps few settings.
  fileStoreContract('the store through pgbouncer, as a role with other forms of values', (limits) =>
    openStore(limits, {
      through: throughAs({
        DateStyle: 'German',
        TimeZone: 'Asia/Kolkata',
        bytea_output: 'escape',
        IntervalStyle: 'iso_8601',
        standard_conforming_strings: 'off',
      }),
    }),
  );

  test('four instances migrate the schema through pgbouncer at once, and one of them runs each migration', async () => {
    await using database = await createDatabase();
    const { url, stop } = await startPgbouncer(program, database.url, 'transaction');
    const address = { urls: [url], pooler: 'transaction' } as const;
    const runs = await Promise.all([1, 2, 3, 4].map(() => migrateAt(address)));
    // One run did all the migrations.
    expect(runs.filter((done) => done.length > 0)).toHaveLength(1);
    expect(await migrateAt(address)).toEqual([]);
    await stop();
  });

  test.each<PoolMode>(['session', 'transaction'])(
    'a pooler in %s mode of which the service was not told is refused with the setting to change',
    async (mode) => {
      const { store, close } = await openStore(STORE_LIMITS, { through: through(mode, 'none') });
      await expect(store.find({ userId: 'ada', s3Key: 'a' })).rejects.toMatchObject({
        reason: 'DATABASE_UNAVAILABLE',
        cause: { message: expect.stringContaining('set DATABASE_POOLER to the mode of the pooler') },
      });
      await close();
    },
  );

  test('in transaction mode, SERIALIZABLE as the default is refused with the statement that changes it', async () => {
    const { store, close } = await openStore(STORE_LIMITS, {
      through: throughAs({ default_transaction_isolation: 'serializable' }),
    });
    await expect(store.find({ userId: 'ada', s3Key: 'a' })).rejects.toMatchObject({
      reason: 'DATABASE_UNAVAILABLE',
      cause: {
        message: expect.stringMatching(
          /^default_transaction_isolation is serializable.*ALTER ROLE … SET default_transaction_isolation = 'read committed'$/,
        ),
      },
    });
    await close();
  });
}
