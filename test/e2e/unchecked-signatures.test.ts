/** A service whose S3 server accepts wrong signatures, as test doubles do. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, expect, test, vi } from 'vitest';
import { createDatabase } from '../harness/database.ts';
import { total } from '../harness/metrics.ts';
import { launchService } from '../harness/service-process.ts';

vi.setConfig({ testTimeout: 60_000 });

const UNCHECKED =
  'S3 accepts wrong signatures, so every client that reaches S3 can read and replace every file: use another server, or set S3_ALLOW_UNCHECKED_SIGNATURES=true if this one is a test double';
const NO_SUCH_KEY = '<Error><Code>NoSuchKey</Code></Error>';

let checksSignatures = false;
await using stack = new AsyncDisposableStack();
const double = createServer((request, response) => {
  request.resume();
  if (request.method === 'HEAD') response.writeHead(200).end();
  else response.writeHead(checksSignatures ? 403 : 404).end(NO_SUCH_KEY);
}).listen(0, '127.0.0.1');
await once(double, 'listening');
stack.defer(() => {
  double.close();
  double.closeAllConnections();
});
const database = stack.use(await createDatabase());
const owned = stack.move();
afterAll(() => owned.disposeAsync());

const ENVIRONMENT = {
  DATABASE_URL: database.url,
  MIGRATE_ON_START: 'true',
  S3_BUCKET: 'files',
  S3_ENDPOINT: `http://127.0.0.1:${(double.address() as AddressInfo).port}`,
  S3_FORCE_PATH_STYLE: 'true',
  AWS_ACCESS_KEY_ID: 'any',
  AWS_SECRET_ACCESS_KEY: 'a wrong secret',
};

async function pagesOf(port: unknown) {
  const http = `http://127.0.0.1:${port}`;
  const ready = await fetch(`${http}/readyz`);
  return {
    ready: ready.status,
    state: await ready.json(),
    unchecked: await total(http, 'files_s3_signatures_unchecked'),
  };
}

test('it is not ready, until the server checks signatures', async () => {
  checksSignatures = false;
  await using service = launchService({ environment: ENVIRONMENT });
  const { httpPort } = await service.logged('serving', 50_000);
  const line = await service.logged(UNCHECKED, 20_000);
  expect(line).toMatchObject({ level: 50, database: true, storage: true, signatures: false });
  const state = { database: true, databaseWrites: true, storage: true, signatures: false };
  expect(await pagesOf(httpPort)).toEqual({ ready: 503, state, unchecked: 1 });
  expect(service.log().filter(({ msg }) => msg === 'ready')).toEqual([]);

  checksSignatures = true;
  await service.logged('ready', 5_000);
  expect(await pagesOf(httpPort)).toEqual({
    ready: 200,
    state: { ...state, signatures: true },
    unchecked: 0,
  });
});

test('it is ready, and says so at level error, if the operator allows it', async () => {
  checksSignatures = false;
  const environment = { ...ENVIRONMENT, S3_ALLOW_UNCHECKED_SIGNATURES: 'true' };
  await using service = launchService({ environment });
  const { httpPort } = await service.logged('serving', 50_000);
  await service.logged('ready', 20_000);
  expect(service.log().filter(({ msg }) => msg === UNCHECKED)).toMatchObject([{ level: 50 }]);
  const state = { database: true, databaseWrites: true, storage: true, signatures: false };
  expect(await pagesOf(httpPort)).toEqual({ ready: 200, state, unchecked: 1 });
});
