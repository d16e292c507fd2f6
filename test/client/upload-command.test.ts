import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProgressLine } from '../../src/upload/progress-line.ts';
import { runUpload } from '../../src/upload/upload-command.ts';
import { newUser } from '../harness/made-up.ts';
import { startTestService, type TestService } from '../harness/service.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.stop());

async function command(args: string[], options: { url?: string; signal?: AbortSignal } = {}) {
  let printed = '';
  const address = { url: options.url ?? service.httpUrl, userIdHeader: 'x-user-id', gatewayToken: undefined };
  const terminal = {
    print: (text: string) => {
      printed += text;
    },
    progress: () => {},
  };
  const signal = options.signal ?? new AbortController().signal;
  const code = await runUpload(args, address, terminal, signal);
  return { code, printed };
}

describe('npm run upload', () => {
  it('uploads several files, says of each what came of it, and what is there is not sent again', async () => {
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
    expect(second.printed.match(/was there already, not a byte of/g)).toHaveLength(3);
    expect(second.printed).toMatch(/^none: ENOENT: no such file/m);
  });

  it('says what is wrong with the call, or with the service', async () => {
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
    const nobody = await command(['x', '--user', 'a,b']);
    expect(nobody).toMatchObject({ code: 1, printed: expect.stringContaining('Unauthenticated') });
  });

  it('says that it was interrupted', async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, 'a');
    await writeFile(path, 'a');
    const interrupted = new AbortController();
    const running = command([path], { signal: interrupted.signal });
    interrupted.abort();
    expect((await running).code).toBe(1);
  });
});

it('the line says what is done, how fast, and how long still', () => {
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
