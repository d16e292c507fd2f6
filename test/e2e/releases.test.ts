import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { externalServers } from '../harness/external-servers.ts';
import { md5 } from '../harness/random.ts';
import { launchService, startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { download, upload } from '../harness/upload.ts';
import { type Releases, twoReleases } from './releases.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let releases: Releases;
beforeAll(async () => {
  directory = await temporaryDirectory();
  releases = await twoReleases(directory.path);
});
afterAll(() => directory[Symbol.asyncDispose]());

async function migrate(release: string, environment: Record<string, string>) {
  await using run = launchService({
    command: [process.execPath, 'src/main.ts', 'migrate'],
    directory: release,
    environment,
  });
  const { code } = await run.untilGone();
  return { code, ...run.printed };
}

/** Starts a release, uploads and downloads a file, and stops it. */
async function serves(release: string, environment: Record<string, string>): Promise<void> {
  await using service = await startService({ directory: release, environment });
  expect(await (await fetch(`${service.http}/readyz`)).json()).toMatchObject({
    database: true,
    storage: true,
  });
  const client = service.client({ 'x-user-id': 'ada' });
  const name = `${crypto.randomUUID()}.txt`;
  expect(await download(client, await upload(client, name, name))).toBe(name);
  // A create that changes a pending upload writes a column that the older schema may lack.
  const asked = { filename: 'note.txt', md5: md5(`another ${name}`) };
  const { s3Key } = await client.createPresignedUpload({ ...asked, mimeType: 'text/plain' });
  const changed = await client.createPresignedUpload({ ...asked, mimeType: 'text/markdown' });
  expect(changed).toMatchObject({ type: UploadType.NEW, s3Key });
  const { files } = await client.listFiles({ filenamePrefix: name });
  expect(files).toHaveLength(1);
  await client.deleteFile({ s3Key: files[0]?.s3Key ?? '' });
  await service.stop();
}

describe('a rolling deploy may go forward and back', () => {
  test('the older release migrates, starts and works on the newer schema', async () => {
    await using servers = await externalServers();
    const { environment } = servers;
    expect(await migrate(releases.newer, environment)).toMatchObject({ code: 0, stderr: '' });
    await serves(releases.newer, environment);
    expect(await migrate(releases.older, environment)).toMatchObject({
      code: 0,
      stdout: 'the schema is up to date\n',
      stderr: '',
    });
    await serves(releases.older, environment);
    await serves(releases.older, { ...environment, MIGRATE_ON_START: 'true' });
  });

  test('the newer release works on the older schema, and then migrates it', async () => {
    await using servers = await externalServers();
    const { environment } = servers;
    expect(await migrate(releases.older, environment)).toMatchObject({ code: 0 });
    await serves(releases.newer, environment);
    await serves(releases.newer, { ...environment, MIGRATE_ON_START: 'true' });
    expect(await migrate(releases.newer, environment)).toMatchObject({
      stdout: 'the schema is up to date\n',
    });
  });
});
