import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { startEmbedded } from '../../src/dev/embedded.ts';
import { processesOf } from '../harness/processes.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

/** The tests start the service with its own Postgres: seconds on an idle machine, more on a busy machine. */
vi.setConfig({ testTimeout: 120_000 });

const NO_PROCESS = -1;

test('when the object store fails to start, no Postgres stays and the directory is unlocked', async () => {
  await using directory = await temporaryDirectory();
  const inTheWay = join(directory.path, 's3', 'buckets');
  await mkdir(join(directory.path, 's3'), { mode: 0o700 });
  await writeFile(inTheWay, 'a file where a directory is to be');
  const options = { dataDirectory: directory.path, region: 'us-east-1', log: () => {} };
  await expect(startEmbedded(options)).rejects.toThrow(`${inTheWay} is not a directory`);
  expect(await processesOf(NO_PROCESS, directory.path)).toEqual([]);

  await rm(inTheWay);
  const embedded = await startEmbedded(options);
  await embedded.stop();
  expect(await processesOf(NO_PROCESS, directory.path)).toEqual([]);
});
