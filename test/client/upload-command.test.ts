import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { openPaths } from '../harness/open-files.ts';
import { newUser } from '../harness/random.ts';
import { downloaded, openFixture } from './fixture.ts';
import { makeFolder, namesOf, type Outside, runUploadOn, sortedLines } from './run-upload.ts';

const fixture = forAllTests(() => openFixture());

const command = (args: string[], outside?: Outside) => runUploadOn(fixture, args, outside);
const folder = (name: string, ...files: string[]) => makeFolder(fixture, name, ...files);

describe('npm run upload', () => {
  it('uploads several files, prints a line for each and a summary, and does not send them again', async () => {
    const user = newUser();
    const paths = ['a.pdf', 'b.txt', 'c'].map((name) => `several/${name}`);
    await folder('several', 'a.pdf', 'b.txt', 'c');
    const first = await command([...paths, '--user', user]);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(sortedLines(first.stdout)).toEqual([
      expect.stringMatching(/^3 files: 3 uploaded\. Sent 35 B in [\d.]+ s \(.*\/s\)\.$/),
      `several/a.pdf: uploaded 13 B, as ${user}_a.pdf`,
      `several/b.txt: uploaded 13 B, as ${user}_b.txt`,
      `several/c: uploaded 9 B, as ${user}_c`,
    ]);
    const { files } = await fixture.service.as(user).listFiles({});
    const types = ['application/octet-stream', 'application/pdf', 'text/plain'];
    expect(files.map(({ mimeType }) => mimeType).toSorted()).toEqual(types);

    const second = await command([...paths, 'several/none', '--user', user]);
    expect(second.code).toBe(1);
    expect(second.stdout.match(/already stored, \d+ B not sent, as user/g)).toHaveLength(3);
    expect(second.stdout).toContain('4 files: 0 uploaded, 3 already stored, 1 failed. Sent 0 B');
    expect(second.stderr).toBe('several/none: there is no such file (ENOENT). To do: check the path.\n');
  });

  it('uploads a directory with all files below it, named after their paths in it', async () => {
    const user = newUser();
    await folder('tree', 'a.jpg', '2024/b.jpg', '2024/.hidden/c');
    await symlink('nothing', join(fixture.directory, 'tree/2024/broken'));
    const { code, stdout, stderr } = await command(['tree/', '--user', user]);
    expect(code).toBe(1);
    expect(stderr).toBe('tree/2024/broken: the link leads to no file. To do: repair or remove the link.\n');
    expect(stdout).toContain(`tree/2024/b.jpg: uploaded 15 B, as ${user}_2024_b.jpg\n`);
    expect(await namesOf(fixture, user)).toEqual(['2024／.hidden／c', '2024／b.jpg', 'a.jpg']);
  });

  it('takes an argument that names the same file again once', async () => {
    await folder('twice', 'a');
    const { stdout } = await command(['twice/a', './twice/../twice/a', '--user', newUser()]);
    expect(stdout).toContain('1 file: 1 uploaded.');
    const plan = await command(['twice/a', './twice/../twice/a', '--dry-run']);
    expect(plan.stdout).toContain('1 file, 7 B, would be uploaded.');
  });

  it('keeps the content of a file of /proc, and leaves a device out', async () => {
    const user = newUser();
    const { code, stderr } = await command(['/proc/cpuinfo', '/dev/null', '--user', user]);
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('/dev/null: it is a device'),
    });
    const { files } = await fixture.service.as(user).listFiles({});
    expect(files).toHaveLength(1);
    const bytes = await downloaded(fixture.service.as(user), files[0]?.s3Key ?? '');
    expect(bytes.toString()).toContain('processor');
  });

  it('says that equal content keeps the name of the first file', async () => {
    const user = newUser();
    await folder('equal', 'a');
    await writeFile(join(fixture.directory, 'equal/copy'), 'equal/a');
    await command(['equal/a', '--user', user]);
    const { stdout } = await command(['equal/copy', '--user', user]);
    expect(stdout).toContain(`equal/copy: already stored under the name "a", 7 B not sent, as ${user}_a\n`);
  });

  it('uploads standard input under the given name', async () => {
    const user = newUser();
    const stdin = Readable.from([Buffer.from('from '), Buffer.from('a pipe')]);
    const { code, stdout } = await command(['-', '--name', 'piped.txt', '--user', user], { stdin });
    expect(code).toBe(0);
    expect((await openPaths()).filter((path) => path.endsWith('/stdin (deleted)'))).toEqual([]);
    expect(stdout).toContain(`-: uploaded 11 B, as ${user}_piped.txt\n`);
    const bytes = await downloaded(fixture.service.as(user), `${user}_piped.txt`);
    expect(bytes.toString()).toBe('from a pipe');
  });

  it('stores nothing of standard input that broke off', async () => {
    const user = newUser();
    const stdin = Readable.from(
      (async function* () {
        yield Buffer.from('half');
        throw new Error('the pipe broke');
      })(),
    );
    const { code, stderr } = await command(['-', '--name', 'half', '--user', user], { stdin });
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^-: the pipe broke\./),
    });
    expect(await namesOf(fixture, user)).toEqual([]);
  });

  it('keeps the MD5s of files in a private file, but not with --no-cache', async () => {
    const path = `${await folder('cached', 'a')}/a`;
    // The cache keeps no MD5 of a file that changed less than 2 s before it was hashed.
    await sleep(2_100);
    const md5CachePath = join(fixture.directory, 'kept/md5s');
    await command([path, '--no-cache', '--user', newUser()], { md5CachePath });
    await expect(stat(md5CachePath)).rejects.toThrow('ENOENT');
    const user = newUser();
    expect((await command([path, '--user', user], { md5CachePath })).code).toBe(0);
    expect(await readFile(md5CachePath, 'utf8')).toContain(join(fixture.directory, path));
    expect((await stat(md5CachePath)).mode & 0o777).toBe(0o600);
    expect((await command([path, '--user', user], { md5CachePath })).stdout).toContain('already stored');
  });

  it('does not say that nothing was sent of a file whose cached MD5 was wrong', async () => {
    const path = `${await folder('miscached', 'a')}/a`;
    await sleep(2_100);
    const md5CachePath = join(fixture.directory, 'wrong/md5s');
    const user = newUser();
    await command([path, '--user', user], { md5CachePath });
    const cache = await readFile(md5CachePath, 'utf8');
    const wrong = Buffer.alloc(16).toString('base64');
    await writeFile(md5CachePath, cache.replace(/"[^"]+"\]\n$/, `"${wrong}"]\n`));
    const { stdout } = await command([path, '--user', user], { md5CachePath });
    expect(stdout).toContain(`miscached/a: already stored, 11 B, as ${user}_a\n`);
    expect(stdout).toContain('Sent 11 B');
  });

  it('uploads although the MD5s cannot be kept, and says so', async () => {
    const path = `${await folder('uncached', 'a')}/a`;
    await sleep(2_100);
    const md5CachePath = join(fixture.directory, 'uncached');
    const { code, stderr } = await command([path, '--user', newUser()], { md5CachePath });
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /uncached: the MD5s cannot be kept: EISDIR: illegal operation on a directory, rename .* To do: set XDG_CACHE_HOME, or use --no-cache\.\n$/,
    );
  });

  it('fails at once, with what to do, if the service does not answer or refuses the user', async () => {
    const away = await command(['x'], { url: 'http://127.0.0.1:1' });
    expect(away).toMatchObject({ code: 1, stdout: '' });
    expect(away.stderr).toMatch(
      /^http:\/\/127\.0\.0\.1:1: no answer: .* To do: start the service with npm start/,
    );
    const invalidUser = await command(['x', '--user', 'a,b']);
    expect(invalidUser.stderr).toMatch(/\(Unauthenticated\)\. To do: check --user/);
    expect(invalidUser.code).toBe(1);
  });

  it('finds nothing in an empty directory, which is no error', async () => {
    await mkdir(join(fixture.directory, 'empty'));
    expect(await command(['empty'])).toEqual({ code: 0, stdout: 'No file was found.\n', stderr: '' });
  });
});
