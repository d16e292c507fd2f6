import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { describeWith } from '../interop/describe-with.ts';
import { downloaded, openFixture, PART_BYTES, sha256 } from './fixture.ts';
import { INSTALL_TIMEOUT_MS, installClient, runProgram } from './installed-package.ts';
import { missingRuntimes, RUNTIMES } from './runtimes/installed.ts';

describeWith('the package of the client', missingRuntimes(), () => {
  const fixture = forAllTests(() => openFixture());
  const project = forAllTests(() => installClient('@connectrpc/connect-node'), INSTALL_TIMEOUT_MS);
  beforeAll(async () => {
    for (const name of ['example.js', 'example-many.js']) {
      const example = await readFile(join(import.meta.dirname, name), 'utf8');
      const adapted = example.replace('http://127.0.0.1:50051', fixture.service.grpcUrl);
      await writeFile(join(project.path, name), adapted);
    }
    await copyFile(join(import.meta.dirname, 'runtimes/upload.js'), join(project.path, 'upload.js'));
  });

  const runOn = ([program, ...args]: readonly string[], ...rest: string[]) =>
    runProgram(program ?? '', [...args, ...rest], project.path, {
      // Deno and Bun write caches. The caches go into the directory of the test.
      DENO_DIR: join(project.path, 'deno'),
      BUN_INSTALL_CACHE_DIR: join(project.path, 'bun'),
    });

  it.for(Object.entries(RUNTIMES))(
    'runs the example of the README on %s',
    async ([name, command], { expect }) => {
      await writeFile(join(project.path, 'film.mp4'), `a film for ${name}`);
      const { stdout } = await runOn(command, 'example.js');
      expect(stdout).toMatch(/^hashing 0 of \d+\n(?:.*\n)+uploaded: 651eb6e11d156e0d7a42c59d_film.*\.mp4\n$/);
    },
  );

  it.for(Object.entries(RUNTIMES))(
    'runs the example of many files on %s',
    async ([name, command], { expect }) => {
      const photos = join(project.path, 'photos');
      await rm(photos, { recursive: true, force: true });
      await mkdir(photos);
      for (let i = 0; i < 3; i++) await writeFile(join(photos, `${i}.jpg`), `${name} ${i}`);
      expect((await runOn(command, 'example-many.js')).stdout).toContain(
        '3 uploaded, 0 were there already, 0 failed',
      );
      expect((await runOn(command, 'example-many.js')).stdout).toContain(
        '0 uploaded, 3 were there already, 0 failed',
      );
    },
  );

  it.for(Object.entries(RUNTIMES))('uploads a file in parts on %s', async ([, command], { expect }) => {
    const user = newUser();
    const path = await fixture.file('film.mp4', 2 * PART_BYTES + 1);
    const options = JSON.stringify({ multipartFromBytes: 1 });
    const { stdout, stderr } = await runOn(
      command,
      'upload.js',
      fixture.service.httpUrl,
      user,
      path,
      options,
    );
    expect(stderr).toBe('');
    const { s3Key, ...sent } = JSON.parse(stdout);
    expect(sent).toEqual({ existing: false, bytesSent: 2 * PART_BYTES + 1 });
    expect(sha256(await downloaded(fixture.service.as(user), s3Key))).toBe(sha256(await readFile(path)));
  });
});
