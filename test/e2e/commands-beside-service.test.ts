import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test, vi } from 'vitest';
import { lockDataDirectory } from '../../src/dev/data-directory/data-directory-lock.ts';
import { dataDirectory } from '../harness/data-directory.ts';
import { md5 } from '../harness/random.ts';
import { PROJECT, startService } from '../harness/service-process.ts';
import { main } from './main.ts';

/** The tests start the service with its own Postgres: seconds on an idle machine, more on a busy machine. */
vi.setConfig({ testTimeout: 120_000 });

/** Runs a command that must succeed. `main` would report the processes of the service beside it as left behind. */
async function output(name: string, environment: Record<string, string>, args: readonly string[] = []) {
  const options = { env: { ...process.env, ...environment } };
  const program = [join(PROJECT, 'src/main.ts'), name, ...args];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, program, options);
  expect(stderr).toBe('');
  return stdout;
}

test('doctor, reconcile and events use the embedded servers of a running service, and leave them running', async () => {
  await using directory = await dataDirectory();
  const environment = { DATA_DIR: directory.path, EVENTS_URL: 'http://127.0.0.1:1' };
  await using service = await startService({ environment });
  const files = service.client({ 'x-user-id': 'ada' });
  const file = { filename: 'a.txt', mimeType: 'text/plain', md5: md5('a') };
  await files.createPresignedUpload(file);

  expect(await output('doctor', environment)).toContain('Every guarantee holds.');
  expect(await output('reconcile', environment)).toContain('0 READY, 1 PENDING, 0 tombstones');
  expect(await output('events', environment, ['replay'])).toBe('0 files will be announced\n');

  expect(await files.createPresignedUpload({ ...file, filename: 'b.txt' })).toBeDefined();
  const ready = join(directory.path, 'file-service.ready');
  expect((await stat(ready)).mode & 0o777).toBe(0o600);
  await service.stop();
  expect(existsSync(ready)).toBe(false);
});

test('a command says when it can run, if the servers of the other process are not ready', async () => {
  await using directory = await dataDirectory();
  const lock = lockDataDirectory(directory.path);
  const { code, stdout, stderr } = await main('reconcile', { DATA_DIR: directory.path });
  lock.release();
  expect({ code, stdout, stderr }).toEqual({
    code: 1,
    stdout: '',
    stderr:
      `${directory.path} is in use by another running service (pid ${process.pid}), whose servers cannot be used: it is ` +
      'starting or stopping, or it is another command. Repeat this command when it has started or ended.\n',
  });
});
