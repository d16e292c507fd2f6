import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test, vi } from 'vitest';
import { hostileText, UNPRINTABLE } from '../harness/captured-terminal.ts';
import { execute } from '../harness/database.ts';
import { externalServers } from '../harness/external-servers.ts';
import { startService } from '../harness/service-process.ts';
import { download, upload } from '../harness/upload.ts';
import { main } from './main.ts';
import { healthWatch } from './open-connections.ts';

vi.setConfig({ testTimeout: 60_000 });

test('the service starts without a schema, and becomes ready when migrate has run', async () => {
  await using servers = await externalServers();
  const { environment } = servers;
  await using service = await startService({ environment });
  using watch = await healthWatch(service);
  expect(watch.statuses).toEqual(['NOT_SERVING']);
  expect(await readiness(service.http)).toEqual([
    503,
    { database: false, databaseWrites: false, storage: true, signatures: true },
  ]);
  expect((await fetch(`${service.http}/livez`)).status).toBe(200);

  expect(await main('migrate', environment)).toMatchObject({ code: 0, stderr: '' });
  await expect.poll(() => watch.statuses, { timeout: 4_000 }).toEqual(['NOT_SERVING', 'SERVING']);
  expect(await readiness(service.http)).toEqual([
    200,
    { database: true, databaseWrites: true, storage: true, signatures: true },
  ]);
  const client = service.client({ 'x-user-id': 'ada' });
  expect(await download(client, await upload(client, 'a.txt', 'bytes'))).toBe('bytes');

  expect(await main('migrate', environment)).toMatchObject({ code: 0, stdout: 'the schema is up to date\n' });
  await service.stop();
});

test.each(['127.0.0.1', 'localhost'])(
  'migrate reports a database on %s that does not answer, and does not show its password',
  async (host) => {
    const { code, stderr } = await main('migrate', {
      DATABASE_URL: `postgres://files:hunter2-hunter2@${host}:1/files`,
      S3_BUCKET: 'files',
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^the schema cannot be brought up to date: .*ECONNREFUSED/);
    expect(stderr).not.toContain('hunter2');
  },
);

test('migrate reports missing rights in Postgres’s own words', async () => {
  await using servers = await externalServers();
  const url = new URL(servers.environment.DATABASE_URL ?? '');
  const role = `role_of_${url.pathname.slice(1)}`;
  await execute(url.href, `create role ${role} login password 'secret'`);
  await execute(url.href, 'revoke create on schema public from public');
  const owner = url.href;
  url.username = role;
  url.password = 'secret';
  expect(await main('migrate', { ...servers.environment, DATABASE_URL: url.href })).toEqual({
    code: 1,
    stdout: '',
    stderr: 'the schema cannot be brought up to date: permission denied for schema public\n',
  });
  await execute(owner, `drop role ${role}`);
});

async function readiness(http: string): Promise<[number, unknown]> {
  const response = await fetch(`${http}/readyz`);
  return [response.status, await response.json()];
}

test('migrate escapes the terminal sequences in an error of the server', async () => {
  const field = (type: string, text: string) => Buffer.from(`${type}${text}\0`);
  const fields = Buffer.concat([
    field('S', 'FATAL'),
    field('C', '28000'),
    field('M', hostileText('the schema is up to date')),
    Buffer.from('\0'),
  ]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(fields.length + 4);
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end(Buffer.concat([Buffer.from('E'), length, fields])));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    const { code, stdout, stderr } = await main('migrate', {
      DATABASE_URL: `postgres://files@127.0.0.1:${port}/files`,
      S3_BUCKET: 'files',
    });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('\\u001b[2J');
    expect(stderr).not.toMatch(UNPRINTABLE);
    expect(stderr.split('\n')).not.toContain('the schema is up to date');
  } finally {
    server.close();
  }
});
