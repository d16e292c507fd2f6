import { execFile } from 'node:child_process';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { PROJECT } from '../harness/service-process.ts';
import { openFixture } from './fixture.ts';

const fixture = forAllTests(() => openFixture());

it('the example of many files runs, and its second run finds all files stored', async () => {
  const { directory, service } = fixture;
  const entry = pathToFileURL(join(PROJECT, 'src/client/node.ts')).href;
  const example = (await readFile(join(import.meta.dirname, 'example-many.js'), 'utf8'))
    .replace('file-service-client', entry)
    .replace('http://127.0.0.1:50051', service.grpcUrl);
  await writeFile(join(directory, 'example-many.mjs'), example);
  await symlink(join(PROJECT, 'node_modules'), join(directory, 'node_modules'));
  await mkdir(join(directory, 'photos'));
  for (const name of ['a.jpg', 'b.jpg', 'c.jpg']) await writeFile(join(directory, 'photos', name), name);
  await mkdir(join(directory, 'photos/d.jpg'));
  const run = () => promisify(execFile)(process.execPath, ['example-many.mjs'], { cwd: directory });
  const first = await run();
  expect(first.stderr).toContain('photos/d.jpg is a directory');
  expect(first.stdout).toBe('3 uploaded, 0 were there already, 1 failed\n');
  expect((await run()).stdout).toBe('0 uploaded, 3 were there already, 1 failed\n');
});
