import { expect, test, vi } from 'vitest';
import { startService } from '../harness/service-process.ts';
import { externalServers } from './external-servers.ts';
import { main } from './main.ts';
import { healthWatch } from './open-connections.ts';
import { download, upload } from './upload.ts';

vi.setConfig({ testTimeout: 60_000 });

test('before migrate it starts and is not ready; after migrate it becomes ready by itself', async () => {
  await using servers = await externalServers();
  const { environment } = servers;
  await using service = await startService({ environment });
  using watch = await healthWatch(service);
  expect(watch.statuses).toEqual(['NOT_SERVING']);
  expect(await readiness(service.http)).toEqual([503, { database: false, storage: true }]);
  expect((await fetch(`${service.http}/livez`)).status).toBe(200);

  expect(await main('migrate', environment)).toMatchObject({ code: 0, stderr: '' });
  await expect.poll(() => watch.statuses, { timeout: 4_000 }).toEqual(['NOT_SERVING', 'SERVING']);
  expect(await readiness(service.http)).toEqual([200, { database: true, storage: true }]);
  const client = service.client({ 'x-user-id': 'ada' });
  expect(await download(client, await upload(client, 'a.txt', 'bytes'))).toBe('bytes');

  expect(await main('migrate', environment)).toMatchObject({ code: 0, stdout: 'the schema is up to date\n' });
  await service.stop();
});

test('migrate tells that the database does not answer, without its password', async () => {
  const { code, stderr } = await main('migrate', {
    DATABASE_URL: 'postgres://files:hunter2-hunter2@127.0.0.1:1/files',
    S3_BUCKET: 'files',
  });
  expect(code).toBe(1);
  expect(stderr).toContain('ECONNREFUSED');
  expect(stderr).not.toContain('hunter2');
});

async function readiness(http: string): Promise<[number, unknown]> {
  const response = await fetch(`${http}/readyz`);
  return [response.status, await response.json()];
}
