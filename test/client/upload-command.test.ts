import { once } from 'node:events';
import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { hostileText, UNPRINTABLE } from '../harness/captured-terminal.ts';
import { endlessServer } from '../harness/endless-server.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { openPaths } from '../harness/open-files.ts';
import { newUser } from '../harness/random.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { downloaded, openFixture } from './fixture.ts';
import { makeFolder, namesOf, type Outside, runUploadOn } from './run-upload.ts';

const fixture = forAllTests(() => openFixture());

const command = (args: string[], outside?: Outside) => runUploadOn(fixture, args, outside);
const folder = (name: string, ...files: string[]) => makeFolder(fixture, name, ...files);

const CLEAR_LINE = '\r\x1b\\[K';

const sorted = (text: string) => text.trimEnd().split('\n').toSorted();

describe('npm run upload', () => {
  it('uploads several files, prints a line for each and a summary, and does not send them again', async () => {
    const user = newUser();
    const paths = ['a.pdf', 'b.txt', 'c'].map((name) => `several/${name}`);
    await folder('several', 'a.pdf', 'b.txt', 'c');
    const first = await command([...paths, '--user', user]);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(sorted(first.stdout)).toEqual([
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

  it('prints an object for each file with --json, and the summary last', async () => {
    const user = newUser();
    await folder('objects', 'a.txt', '2024/b');
    const startMs = performance.now();
    const { code, stdout, stderr } = await command(['objects', 'objects/none', '--json', '--user', user]);
    const seconds = (performance.now() - startMs) / 1_000;
    expect(code).toBe(1);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const { summary } = lines.pop();
    expect(summary).toEqual({
      uploaded: 2,
      existing: 0,
      failed: 1,
      bytesSent: 27,
      bytesTotal: 27,
      seconds: expect.any(Number),
      end: 'complete',
    });
    expect(summary.seconds).toBeGreaterThan(0);
    expect(summary.seconds).toBeLessThanOrEqual(seconds);
    expect(lines.toSorted((a, b) => a.path.localeCompare(b.path))).toEqual([
      {
        path: 'objects/2024/b',
        status: 'uploaded',
        filename: '2024／b',
        s3Key: `${user}_2024_b`,
        sizeBytes: 14,
        mimeType: 'application/octet-stream',
        bytesSent: 14,
        bytesResumed: 0,
      },
      {
        path: 'objects/a.txt',
        status: 'uploaded',
        filename: 'a.txt',
        s3Key: `${user}_a.txt`,
        sizeBytes: 13,
        mimeType: 'text/plain',
        bytesSent: 13,
        bytesResumed: 0,
      },
      {
        path: 'objects/none',
        status: 'failed',
        error: 'there is no such file (ENOENT)',
        toDo: 'check the path',
      },
    ]);
    expect(stderr).toMatch(/^objects\/none: /);
  });

  it('prints errors only with --quiet', async () => {
    await folder('quiet', 'a');
    // The upload takes so long that the progress would be shown, and its first PUT is retried.
    fixture.proxy.delayMs = 400;
    fixture.proxy.fault = (n) => (n === 1 ? { status: 503, code: 'SlowDown' } : 'none');
    const user = newUser();
    const { code, stdout, stderr } = await command(['quiet', 'none', '--quiet', '--user', user], {
      isTTY: true,
    });
    fixture.proxy.delayMs = 0;
    fixture.proxy.fault = () => 'none';
    expect(await namesOf(fixture, user)).toEqual(['a']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe('none: there is no such file (ENOENT). To do: check the path.\n');
  });

  it('lists with --dry-run what it would upload, and calls nothing', async () => {
    await folder('planned', 'a.txt', '2024/b', 'c\\d');
    const outside = { url: 'http://127.0.0.1:1' };
    const plan = await command(['planned', '--dry-run'], outside);
    expect(plan.code).toBe(1);
    expect(sorted(plan.stdout)).toEqual([
      '2 files, 27 B, would be uploaded; 1 cannot be. Nothing was sent.',
      'planned/2024/b: 14 B, application/octet-stream, as "2024／b"',
      'planned/a.txt: 13 B, text/plain, as "a.txt"',
    ]);
    expect(plan.stderr).toMatch(
      /^planned\/c\\d: filename must be a name, not a path.* To do: rename the file\.$/m,
    );
    const objects = await command(['planned/a.txt', '--dry-run', '--json'], outside);
    expect(objects.code).toBe(0);
    expect(
      objects.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { path: 'planned/a.txt', status: 'planned', filename: 'a.txt', sizeBytes: 13, mimeType: 'text/plain' },
      { summary: { planned: 1, failed: 0, bytesTotal: 13 } },
    ]);
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
    const md5CachePath = join(fixture.directory, path, 'md5s');
    const { code, stderr } = await command([path, '--user', newUser()], { md5CachePath });
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /md5s: the MD5s cannot be kept: .* To do: set XDG_CACHE_HOME, or use --no-cache\.\n$/,
    );
  });

  it('prints the help to stdout, and what is wrong with the arguments to stderr', async () => {
    const help = await command(['--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toMatch(/^usage: npm run upload -- PATH… \[options\]\n/);
    const wrong = await command(['--what', 'x']);
    expect(wrong).toMatchObject({ code: 2, stdout: '' });
    expect(wrong.stderr).toMatch(/^Unknown option '--what'.*\n\nusage: npm run upload/);
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

  it('shows the progress on a terminal, below the lines of the files, and removes it at the end', async () => {
    await folder('shown', 'a', 'b');
    fixture.proxy.delayMs = 400;
    try {
      const { stderr } = await command(['shown', '--user', newUser()], { isTTY: true });
      expect(stderr).toMatch(new RegExp(`${CLEAR_LINE} {2}\\d %.* 0/2 files`));
      expect(stderr.endsWith('\r\x1b[K')).toBe(true);
    } finally {
      fixture.proxy.delayMs = 0;
    }
  });

  it('counts standard input and its bytes for the progress, and names the last file', async () => {
    await folder('counted', 'a');
    const stdin = Readable.from([Buffer.from('from '), Buffer.from('a pipe')]);
    fixture.proxy.delayMs = 400;
    const args = ['-', 'counted', '--name', 'piped', '--concurrency', '1', '--user', newUser()];
    const { stderr } = await command(args, { stdin, isTTY: true });
    fixture.proxy.delayMs = 0;
    expect(stderr).toMatch(/ 0\/2 files {2}0 of 20 B/);
    expect(stderr).toMatch(/ 1\/2 files {2}11 of 20 B .* {2}counted\/a/);
  });

  it('shows a retry on stderr, and goes on', async () => {
    await folder('retried', 'a');
    fixture.proxy.fault = (n) => (n === 1 ? { status: 503, code: 'SlowDown' } : 'none');
    const { code, stdout, stderr } = await command(['retried/a', '--user', newUser()]);
    fixture.proxy.fault = () => 'none';
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('retried/a: uploaded 9 B'),
    });
    expect(stderr).toMatch(/^retried\/a: S3 answered 503: SlowDown.*; attempt 2 in [\d.]+ s\n$/);
  });
});

describe('the output of npm run upload', () => {
  it('escapes terminal sequences and line ends in names and errors', async () => {
    await using directory = await temporaryDirectory();
    const forged = 'b.txt: uploaded 6 B, as user_b.txt';
    const names = [hostileText(forged), `b\u200b\u{e0041}.txt`];
    for (const name of names) await writeFile(join(directory.path, name), name);
    const paths = names.map((name) => join(directory.path, name));
    const { stdout, stderr, code } = await command([...paths, '--user', newUser()]);
    expect(code).toBe(1);
    expect(stdout + stderr).not.toMatch(UNPRINTABLE);
    expect(stderr).toMatch(/^\/.*\/a\\u001b\[2J.*: filename must not contain control characters/);
    expect(sorted(stderr)).toHaveLength(1);
    expect(stdout).toMatch(/^\/.*\/b\\u200b\\udb40\\udc41\.txt: uploaded/);
    expect(sorted(stdout)).toHaveLength(2);

    const option = await command([`--${hostileText(forged)}`]);
    expect(option.code).toBe(2);
    expect(option.stderr).not.toMatch(UNPRINTABLE);
    expect(option.stderr.split('\n')).not.toContain(forged);
    const missing = await command([join(directory.path, hostileText(forged).slice(1))]);
    expect(missing.stderr).toMatch(/ENOENT/);
    expect(missing.stderr).not.toMatch(UNPRINTABLE);
    expect(sorted(missing.stderr)).toHaveLength(1);
  });

  it('has the error of a server as one escaped line', async () => {
    const words = hostileText('a.pdf: uploaded 1 B, as user_a.pdf');
    const server = createServer((_, response) => {
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ code: 'invalid_argument', message: words }));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      const { stderr, code } = await command(['x'], { url: `http://127.0.0.1:${port}` });
      expect(code).toBe(1);
      expect(stderr).toContain('\\u001b[2J');
      expect(stderr).not.toMatch(UNPRINTABLE);
      expect(sorted(stderr)).toHaveLength(1);
    } finally {
      server.close();
    }
  });

  it.each([200, 500])('ends for an answer with status %d that has no end', async (status) => {
    const type = status === 200 ? 'application/proto' : 'application/json';
    await using server = await endlessServer(status, type);
    const { code, stderr } = await command(['x'], { url: server.url, signal: AbortSignal.timeout(4_000) });
    expect(code).toBe(1);
    expect(stderr).toContain('ResourceExhausted');
  });
});
