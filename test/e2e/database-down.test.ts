import { expect, test, vi } from 'vitest';
import { anyFreePort } from '../../src/dev/postgres/free-port.ts';
import { startPostgres } from '../../src/dev/postgres/postgres.ts';
import { externalServers } from '../harness/external-servers.ts';
import { startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { upload } from '../harness/upload.ts';
import { main } from './main.ts';
import { healthWatch } from './open-connections.ts';

vi.setConfig({ testTimeout: 120_000 });

/** The service checks Postgres once a second. The rest is for a busy machine. */
const SOON = { timeout: 6_000, interval: 50 };

test('the service starts without Postgres, serves once Postgres answers, and survives its loss', async () => {
  await using directory = await temporaryDirectory();
  await using servers = await externalServers();
  const port = await anyFreePort();
  await using database = await restartable(directory.path, port);
  const environment = { ...servers.environment, DATABASE_URL: database.url };
  expect(await main('migrate', environment)).toMatchObject({ code: 0 });
  await database.stop();

  await using service = await startService({ environment });
  using watch = await healthWatch(service);
  expect(watch.statuses).toEqual(['NOT_SERVING']);
  expect((await fetch(`${service.http}/livez`)).status).toBe(200);
  expect((await fetch(`${service.http}/readyz`)).status).toBe(503);
  const client = service.client({ 'x-user-id': 'ada' });
  await expect(client.listFiles({})).rejects.toThrow('[unavailable] the database does not answer');

  await database.start();
  await expect.poll(() => watch.statuses, SOON).toEqual(['NOT_SERVING', 'SERVING']);
  const s3Key = await upload(client, 'a.txt', 'bytes');

  await database.stop();
  await expect.poll(() => watch.statuses, SOON).toEqual(['NOT_SERVING', 'SERVING', 'NOT_SERVING']);
  await database.start();
  await expect.poll(() => watch.statuses.at(-1), SOON).toBe('SERVING');
  expect((await client.listFiles({})).files).toMatchObject([{ s3Key }]);
  await service.stop();
});

async function restartable(directory: string, port: number) {
  const start = () => startPostgres({ directory, port, settings: { fsync: 'off' } });
  let postgres = await start();
  const stop = () => postgres.stop();
  return {
    url: postgres.url,
    stop,
    async start() {
      postgres = await start();
    },
    [Symbol.asyncDispose]: stop,
  };
}
