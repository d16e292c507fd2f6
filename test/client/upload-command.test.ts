import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createProgressLine } from '../../src/cli/progress-line.ts';
import { runUpload } from '../../src/cli/upload.ts';
import { captureTerminal, hostileText, UNPRINTABLE } from '../harness/captured-terminal.ts';
import { endlessServer } from '../harness/endless-server.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

const service = forAllTests(() => startTestService());

async function command(args: string[], options: { url?: string; signal?: AbortSignal } = {}) {
  const address = { url: options.url ?? service.httpUrl, userIdHeader: 'x-user-id', gatewayToken: undefined };
  const terminal = captureTerminal();
  const signal = options.signal ?? new AbortController().signal;
  const code = await runUpload(args, address, terminal, signal);
  return { code, printed: terminal.stdout };
}

describe('npm run upload', () => {
  it('uploads several files, prints one line for each, and does not send an existing file again', async () => {
    await using directory = await temporaryDirectory();
    const user = newUser();
    const paths = ['a.pdf', 'b.txt', 'c'].map((name) => join(directory.path, name));
    for (const path of paths) await writeFile(path, path);
    const first = await command([...paths, '--user', user]);
    expect(first.code).toBe(0);
    expect(first.printed).toMatch(
      /^a\.pdf: uploaded \d+ B in [\d.]+ s \(.*\/s with hashing\), as user-.*_a\.pdf$/m,
    );
    expect(first.printed.split('\n')).toHaveLength(4);
    const { files } = await service.as(user).listFiles({});
    expect(files.map(({ mimeType }) => mimeType).toSorted()).toEqual([
      'application/octet-stream',
      'application/pdf',
      'text/plain',
    ]);

    const second = await command([...paths, join(directory.path, 'none'), '--user', user]);
    expect(second.code).toBe(1);
    expect(second.printed.match(/already stored, nothing of/g)).toHaveLength(3);
    expect(second.printed).toMatch(/^none: ENOENT: no such file/m);
  });

  it('prints the usage for wrong arguments, and the error of the service', async () => {
    expect(await command([])).toMatchObject({
      code: 2,
      printed: expect.stringContaining('usage: npm run upload'),
    });
    expect(await command(['--what', 'x'])).toMatchObject({ code: 2 });
    expect(await command(['x', '--url', 'nothing'])).toMatchObject({ code: 2 });
    const away = await command(['x'], { url: 'http://127.0.0.1:1' });
    expect(away).toEqual({
      code: 1,
      printed: expect.stringMatching(/^http:\/\/127\.0\.0\.1:1: no answer: .*npm start/),
    });
    const invalidUser = await command(['x', '--user', 'a,b']);
    expect(invalidUser).toMatchObject({ code: 1, printed: expect.stringContaining('Unauthenticated') });
  });

  it('escapes terminal sequences and line ends in names and errors', async () => {
    await using directory = await temporaryDirectory();
    const forged = 'b.txt: uploaded 6 B in 0.1 s, as user_b.txt';
    const names = [hostileText(forged), `b\u200b\u{e0041}.txt`];
    for (const name of names) await writeFile(join(directory.path, name), name);
    const { printed, code } = await command([
      ...names.map((name) => join(directory.path, name)),
      '--user',
      newUser(),
    ]);
    expect(code).toBe(1);
    expect(printed).not.toMatch(UNPRINTABLE);
    const lines = printed.trimEnd().split('\n').toSorted();
    expect(lines).toEqual([
      expect.stringMatching(/^a\\u001b\[2J.*: filename must not contain control characters/),
      expect.stringMatching(/^b\\u200b\\udb40\\udc41\.txt: uploaded/),
    ]);

    const option = await command([`--${hostileText(forged)}`]);
    expect(option.code).toBe(2);
    expect(option.printed).not.toMatch(UNPRINTABLE);
    expect(option.printed.split('\n')).not.toContain(forged);
    const missing = await command([join(directory.path, hostileText(forged).slice(1))]);
    expect(missing.printed).toMatch(/ENOENT/);
    expect(missing.printed).not.toMatch(UNPRINTABLE);
    expect(missing.printed.trimEnd().split('\n')).toHaveLength(1);
  });

  it('prints the error of a server as one escaped line', async () => {
    const words = hostileText('a.pdf: uploaded 1 B in 0.1 s, as user_a.pdf');
    const server = createServer((_, response) => {
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ code: 'invalid_argument', message: words }));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      const { printed, code } = await command(['x'], { url: `http://127.0.0.1:${port}` });
      expect(code).toBe(1);
      expect(printed).toContain('\\u001b[2J');
      expect(printed).not.toMatch(UNPRINTABLE);
      expect(printed.trimEnd().split('\n')).toHaveLength(1);
    } finally {
      server.close();
    }
  });

  it.each([200, 500])('stops reading an answer with status %d that has no end', async (status) => {
    await using server = await endlessServer(
      status,
      status === 200 ? 'application/proto' : 'application/json',
    );
    const { code, printed } = await command(['x'], { url: server.url, signal: AbortSignal.timeout(4_000) });
    expect(code).toBe(1);
    expect(printed).toContain('ResourceExhausted');
  });

  it('ends with code 1 when it is interrupted', async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, 'a');
    await writeFile(path, 'a');
    const interrupted = new AbortController();
    const running = command([path], { signal: interrupted.signal });
    interrupted.abort();
    expect((await running).code).toBe(1);
  });
});

it('the progress line shows the share, the speed and the remaining time', () => {
  const MiB = 1024 ** 2;
  const line = createProgressLine(2);
  const nothing = { bytesTotal: 100 * MiB, bytesHashed: 0, bytesSent: 0, bytesResumed: 0 };
  line.update('a', { ...nothing, phase: 'hashing' });
  line.render(0);
  line.update('a', { ...nothing, phase: 'hashing', bytesHashed: 50 * MiB });
  expect(line.render(1_000)).toBe(
    '0/2 files  hashing ██████░░░░░░  50 %  50.0 MiB of 100.0 MiB  50.0 MiB/s  1 s left',
  );
  line.update('b', {
    ...nothing,
    bytesTotal: 300 * MiB,
    bytesHashed: 300 * MiB,
    phase: 'sending',
    bytesResumed: 200 * MiB,
  });
  expect(line.render(1_100)).toBe('0/2 files  sending ██████░░░░░░  50 %  200.0 MiB of 400.0 MiB');
  line.update('a', { ...nothing, phase: 'done' });
  line.update('b', {
    ...nothing,
    bytesTotal: 300 * MiB,
    phase: 'sending',
    bytesResumed: 200 * MiB,
    bytesSent: 50 * MiB,
  });
  expect(line.render(2_100)).toBe(
    '1/2 files  sending ██████████░░  87 %  350.0 MiB of 400.0 MiB  150.0 MiB/s  1 s left',
  );
});
