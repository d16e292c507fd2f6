import { Code, ConnectError } from '@connectrpc/connect';
import { expect, test, vi } from 'vitest';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { externalServers } from '../harness/external-servers.ts';
import { startService } from '../harness/service-process.ts';
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

async function outcome(client: FileClient): Promise<'OK' | [Code, string | undefined]> {
  try {
    await client.listFiles({});
    return 'OK';
  } catch (error) {
    const connectError = ConnectError.from(error);
    return [connectError.code, connectError.findDetails(ErrorInfoSchema)[0]?.reason];
  }
}
