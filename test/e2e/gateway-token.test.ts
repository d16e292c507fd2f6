import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Code, ConnectError } from '@connectrpc/connect';
import { expect, test, vi } from 'vitest';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { externalServers } from '../harness/external-servers.ts';
import { PROJECT, startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import type { FileClient } from '../harness/upload.ts';

vi.setConfig({ testTimeout: 60_000 });

const OLD = 'the-old-token-of-the-gateway';
const NEW = 'the-new-token-of-the-gateway';
const UNTRUSTED = [Code.Unauthenticated, 'GATEWAY_UNTRUSTED'];

test('only a gateway with a current token may call for users', async () => {
  await using servers = await externalServers();
  const environment = { ...servers.environment, MIGRATE_ON_START: 'true', GATEWAY_AUTH: 'token' };

  await using rotating = await startService({
    environment: { ...environment, GATEWAY_TOKENS: `${OLD},${NEW}` },
  });
  const during = (headers: Record<string, string>) =>
    outcome(rotating.client({ 'x-user-id': 'ada', ...headers }));
  expect(await during({ 'x-gateway-token': OLD })).toEqual('OK');
  expect(await during({ 'x-gateway-token': NEW })).toEqual('OK');
  expect(await during({})).toEqual(UNTRUSTED);
  expect(await during({ 'x-gateway-token': '' })).toEqual(UNTRUSTED);
  expect(await during({ 'x-gateway-token': `${NEW}r` })).toEqual(UNTRUSTED);
  expect(await during({ 'x-gateway-token': `${OLD},${NEW}` })).toEqual(UNTRUSTED);
  await rotating.stop();

  await using rotated = await startService({ environment: { ...environment, GATEWAY_TOKENS: NEW } });
  const after = (token: string) => outcome(rotated.client({ 'x-user-id': 'ada', 'x-gateway-token': token }));
  expect(await after(NEW)).toEqual('OK');
  expect(await after(OLD)).toEqual(UNTRUSTED);
  await rotated.stop();
});

test('npm run upload sends the first of GATEWAY_TOKENS, without any other setting of the service', async () => {
  await using servers = await externalServers();
  await using service = await startService({
    environment: {
      ...servers.environment,
      MIGRATE_ON_START: 'true',
      GATEWAY_AUTH: 'token',
      GATEWAY_TOKENS: OLD,
    },
  });
  await using home = await temporaryDirectory();
  const upload = ['upload', import.meta.filename, '--url', service.http];
  const { stdout } = await promisify(execFile)(process.execPath, [join(PROJECT, 'src/main.ts'), ...upload], {
    env: { ...process.env, XDG_CACHE_HOME: home.path, GATEWAY_TOKENS: `${OLD},${NEW}` },
  });
  expect(stdout).toContain('1 file: 1 uploaded.');
  await service.stop();
});

async function outcome(client: FileClient): Promise<'OK' | [Code, string | undefined]> {
  try {
    await client.listFiles({});
    return 'OK';
  } catch (error) {
    const connectError = ConnectError.from(error);
    return [connectError.code, connectError.findDetails(ErrorInfoSchema)[0]?.reason];
  }
}
