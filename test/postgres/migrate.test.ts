import pg from 'pg';
import { expect, it } from 'vitest';
import { migrateAt } from '../../src/postgres/migrate.ts';
import { createDatabase } from '../harness/database.ts';

const tables = async (url: string) => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query(
    `select indexdef from pg_indexes where tablename = 'files' order by indexname`,
  );
  await client.end();
  return rows;
};

it('of eight instances that migrate at once, one migrates and the others wait and find nothing to do', async () => {
  await using database = await createDatabase();
  const runs = await Promise.all(Array.from({ length: 8 }, () => migrateAt({ urls: [database.url] })));
  expect(runs.filter((done) => done.length > 0)).toEqual([
    ['0001-files'].map((migrationName) => expect.objectContaining({ migrationName, status: 'Success' })),
  ]);
  const before = await tables(database.url);
  expect(before.length).toBeGreaterThan(0);
  expect(await migrateAt({ urls: [database.url] })).toEqual([]);
  expect(await tables(database.url)).toEqual(before);
});
