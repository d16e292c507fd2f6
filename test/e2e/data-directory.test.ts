import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { launchService, startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

/** The tests start the service with its own Postgres: seconds on an idle machine, more on a busy machine. */
vi.setConfig({ testTimeout: 120_000 });

test('a second service on the same data directory is refused, even through a link, and the first goes on', async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, 'data');
  await using first = await startService({ environment: { DATA_DIR: path } });
  const otherPath = join(directory.path, 'link');
  await symlink(path, otherPath);
  await using second = launchService({ environment: { DATA_DIR: otherPath } });

  expect(await second.untilGone()).toEqual({ code: 1, signal: null });
  expect(second.printed.stderr).toBe(
    `${otherPath} is in use by another running service (pid ${first.pid}). ` +
      'Stop that service first, or set DATA_DIR to another directory.\n',
  );
  expect(await first.client({ 'x-user-id': 'ada' }).listFiles({})).toMatchObject({ files: [] });
  await first.stop();
});
