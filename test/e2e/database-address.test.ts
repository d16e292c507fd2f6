import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { anyFreePort } from '../../src/dev/postgres/free-port.ts';
import { externalServers } from '../harness/external-servers.ts';
import { startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { download, upload } from '../harness/upload.ts';
import { main } from './main.ts';

vi.setConfig({ testTimeout: 60_000 });

test('the service uses the host of DATABASE_URL that works, with the password from a file', async () => {
  await using directory = await temporaryDirectory();
  await using servers = await externalServers();
  const url = new URL(servers.environment.DATABASE_URL ?? '');
  const passwordFile = join(directory.path, 'password');
  await writeFile(passwordFile, `${decodeURIComponent(url.password)}\n`);
  const closed = await anyFreePort();
  const environment = {
    ...servers.environment,
    DATABASE_URL: `postgres://${url.username}@127.0.0.1:${closed},${url.hostname}:${url.port || 5432}${url.pathname}`,
    DATABASE_PASSWORD_FILE: passwordFile,
  };
  expect(await main('migrate', environment)).toMatchObject({ code: 0, stderr: '' });
  await using service = await startService({ environment });
  expect((await fetch(`${service.http}/readyz`)).status).toBe(200);
  const client = service.client({ 'x-user-id': 'ada' });
  expect(await download(client, await upload(client, 'a.txt', 'bytes'))).toBe('bytes');
  await service.stop();
});
