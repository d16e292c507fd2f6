import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { hostileText, UNPRINTABLE } from '../harness/captured-terminal.ts';
import { endlessServer } from '../harness/endless-server.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { openFixture } from './fixture.ts';
import { makeFolder, namesOf, type Outside, runUploadOn, sortedLines } from './run-upload.ts';

const fixture = forAllTests(() => openFixture());

const command = (args: string[], outside?: Outside) => runUploadOn(fixture, args, outside);
const folder = (name: string, ...files: string[]) => makeFolder(fixture, name, ...files);

const CLEAR_LINE = '\r\x1b\\[K';

describe('the output of npm run upload', () => {
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
    expect(sortedLines(plan.stdout)).toEqual([
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

  it('prints the help to stdout, and what is wrong with the arguments to stderr', async () => {
    const help = await command(['--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toMatch(/^usage: npm run upload -- PATH… \[options\]\n/);
    const wrong = await command(['--what', 'x']);
    expect(wrong).toMatchObject({ code: 2, stdout: '' });
    expect(wrong.stderr).toMatch(/^Unknown option '--what'.*\n\nusage: npm run upload/);
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
    expect(sortedLines(stderr)).toHaveLength(1);
    expect(stdout).toMatch(/^\/.*\/b\\u200b\\udb40\\udc41\.txt: uploaded/);
    expect(sortedLines(stdout)).toHaveLength(2);

    const option = await command([`--${hostileText(forged)}`]);
    expect(option.code).toBe(2);
    expect(option.stderr).not.toMatch(UNPRINTABLE);
    expect(option.stderr.split('\n')).not.toContain(forged);
    const missing = await command([join(directory.path, hostileText(forged).slice(1))]);
    expect(missing.stderr).toMatch(/ENOENT/);
    expect(missing.stderr).not.toMatch(UNPRINTABLE);
    expect(sortedLines(missing.stderr)).toHaveLength(1);
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
      expect(sortedLines(stderr)).toHaveLength(1);
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
