import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { type ServiceProcess, startService } from '../harness/service-process.ts';
import { externalServers } from './external-servers.ts';
import { md5Of, upload } from './upload.ts';

vi.setConfig({ testTimeout: 60_000 });

const TOKEN = 'the-token-of-the-gateway-0123';
const WRONG_TOKEN = 'a-mistyped-token-of-the-gateway';

test('nothing that it prints holds a signature, a token or a password, whatever goes wrong', async () => {
  await using servers = await externalServers();
  await using service = await startService({
    environment: {
      ...servers.environment,
      MIGRATE_ON_START: 'true',
      GATEWAY_AUTH: 'token',
      GATEWAY_TOKENS: TOKEN,
      TRUST_WINDOW_SECONDS: '0',
      SWEEP_INTERVAL_SECONDS: '1',
      LOG_LEVEL: 'trace',
    },
  });
  const client = service.client({ 'x-user-id': 'ada', 'x-gateway-token': TOKEN });
  const s3Key = await upload(client, 'a.txt', 'bytes');
  const { presignedUrl: download } = await client.createPresignedDownload({ s3Key });
  const pending = await client.createPresignedUpload({
    filename: 'never.txt',
    mimeType: 'text/plain',
    md5: md5Of('never sent'),
  });
  await misuse(service, download);
  await servers.loseStorage();
  await expect(client.createPresignedDownload({ s3Key })).rejects.toThrow('[unavailable]');
  await client.listFiles({});
  await servers.loseDatabase();
  await expect(client.listFiles({})).rejects.toThrow('[unavailable]');
  await sleep(2_500); // a round of the sweeper, and of readiness
  await service.stop();

  const printed = service.printed.stdout + service.printed.stderr;
  // It has told what went wrong.
  for (const word of ['call failed', 'STORAGE_UNAVAILABLE', 'DATABASE_UNAVAILABLE', 'GATEWAY_UNTRUSTED']) {
    expect(printed).toContain(word);
  }
  const { DATABASE_URL = '', AWS_SECRET_ACCESS_KEY = '' } = servers.environment;
  const secrets = {
    'signature of an upload': signatureOf(pending.presignedUrl),
    'signature of a download': signatureOf(download),
    'any signature': 'X-Amz-Signature=',
    token: TOKEN,
    'wrong token': WRONG_TOKEN,
    'key of S3': AWS_SECRET_ACCESS_KEY,
    password: new URL(DATABASE_URL).password,
  };
  for (const secret of Object.values(secrets)) expect(secret.length).toBeGreaterThan(8);
  expect(Object.entries(secrets).filter(([, secret]) => printed.includes(secret))).toEqual([]);
});

/** What clients do that have mixed something up. */
async function misuse(service: ServiceProcess, url: string): Promise<void> {
  const impostor = service.client({ 'x-user-id': 'ada', 'x-gateway-token': WRONG_TOKEN });
  await expect(impostor.listFiles({})).rejects.toThrow('[unauthenticated]');
  const client = service.client({ 'x-user-id': 'ada', 'x-gateway-token': TOKEN });
  await expect(client.getFile({ s3Key: url })).rejects.toThrow();
  await expect(client.createPresignedUpload({ filename: url, mimeType: url, md5: TOKEN })).rejects.toThrow();
  const { search } = new URL(url);
  expect((await fetch(`${service.http}/files.v1.FileService/${search}`)).status).toBe(404);
  const garbage = { method: 'POST', headers: { 'content-type': 'application/json' }, body: url };
  expect((await fetch(`${service.http}/files.v1.FileService/ListFiles${search}`, garbage)).status).toBe(400);
}

function signatureOf(url: string): string {
  return new URL(url).searchParams.get('X-Amz-Signature') ?? '';
}
