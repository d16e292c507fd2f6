import { describe, expect, it } from 'vitest';
import { migrateAt } from '../../src/postgres/migrate.ts';
import { createDatabase } from '../harness/database.ts';
import { startPgbouncer } from '../servers/pgbouncer.ts';
import { findServer } from '../servers/server-program.ts';
import { diagnose } from './run-doctor.ts';

const program = await findServer('pgbouncer');

/** These tests are about Postgres, so no S3 server listens here. */
const NO_BUCKET = {
  bucket: 'files',
  endpoint: 'http://127.0.0.1:1',
  region: 'us-east-1',
  credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
};

/** The answers of the rows about the database that are not `yes`, through a pgbouncer in transaction mode. */
async function answersWith(environment: Record<string, string>): Promise<string[]> {
  const database = await createDatabase();
  await migrateAt({ urls: [database.url] });
  const pgbouncer = await startPgbouncer(program ?? '', database.url, 'transaction');
  try {
    const { report } = await diagnose(NO_BUCKET, pgbouncer.url, { environment });
    // Whether the server of the tests keeps its rows is no matter here.
    const rows = report.database.rows.filter(
      ({ title }) => !/^a committed row|its disk has changed$/.test(title),
    );
    return rows.filter(({ answer }) => answer !== 'yes').map(({ answer, title }) => `${answer}: ${title}`);
  } finally {
    await pgbouncer.stop();
    await database.drop();
  }
}

describe.skipIf(program === undefined)('behind a pgbouncer in transaction mode', () => {
  it('the pooler is recognised, and what the service cannot set is named', async () => {
    expect(await answersWith({ DATABASE_POOLER: 'transaction' })).toEqual([
      'no: Postgres ends statements that take too long',
      'no: JIT is off for the service',
    ]);
  });

  it('that DATABASE_POOLER does not name, Postgres is not usable', async () => {
    const [first, ...others] = await answersWith({ DATABASE_POOLER: 'none' });
    expect(first).toBe('no: Postgres accepts connections');
    for (const other of others) expect(other).toMatch(/^cannot tell: /);
  });
});
