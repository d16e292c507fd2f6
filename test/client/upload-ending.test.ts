/** How a run of `npm run upload` ends before its end: by an interruption, or by an error. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { FileItem } from '../../src/cli/upload/find/items.ts';
import { textReport } from '../../src/cli/upload/output/report.ts';
import { newRunState, uploadFiles } from '../../src/cli/upload/upload-files.ts';
import { captureTerminal } from '../harness/captured-terminal.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { openFixture } from './fixture.ts';
import { makeFolder, namesOf, runUploadOn } from './run-upload.ts';

const fixture = forAllTests(() => openFixture());

/** A service that answers its n-th call so. n starts at 1. */
async function serviceThat(answer: (n: number, response: ServerResponse) => void) {
  let calls = 0;
  const server = createServer((request, response) => {
    request.resume();
    answer(++calls, response);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

describe('an interrupted npm run upload', () => {
  it('ends with code 130 when it is interrupted, and continues with the next call', async () => {
    const user = newUser();
    await makeFolder(fixture, 'interrupted', 'a', 'b');
    fixture.proxy.delayMs = 30_000;
    const interrupted = new AbortController();
    const running = runUploadOn(fixture, ['interrupted', '--user', user], { signal: interrupted.signal });
    await expect.poll(() => fixture.proxy.underWay).toBeGreaterThan(0);
    interrupted.abort();
    expect(await running).toEqual({
      code: 130,
      stdout: '',
      stderr: 'Interrupted. Run the same command again to continue.\n',
    });
    fixture.proxy.delayMs = 0;
    expect((await runUploadOn(fixture, ['interrupted', '--user', user])).code).toBe(0);
    expect(await namesOf(fixture, user)).toEqual(['a', 'b']);
  });

  it('does not complain about its first call, which the interruption has ended', async () => {
    const interrupted = new AbortController();
    await using silent = await serviceThat(() => interrupted.abort());
    const ended = await runUploadOn(fixture, ['a'], { url: silent.url, signal: interrupted.signal });
    expect(ended).toEqual({ code: 130, stdout: '', stderr: '' });
  });

  it('with --dry-run does not print a plan that is not complete', async () => {
    const folder = await makeFolder(fixture, 'unplanned', 'a');
    const ended = await runUploadOn(fixture, [folder, '--dry-run'], { signal: AbortSignal.abort() });
    expect(ended).toEqual({ code: 130, stdout: '', stderr: '' });
  });
});

describe('npm run upload that meets an error of all files', () => {
  it('stops, names the error once, and says so', async () => {
    const folder = await makeFolder(fixture, 'all-refused', 'a', 'b', 'c');
    await using service = await serviceThat((n, response) => {
      // The first call is answered with an empty page of files.
      if (n === 1) response.writeHead(200, { 'content-type': 'application/proto' }).end();
      else response.writeHead(401).end();
    });
    const args = [folder, '--concurrency', '1'];
    const { code, stdout, stderr } = await runUploadOn(fixture, args, { url: service.url });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^1 file: 0 uploaded, 1 failed\. Sent 0 B in [\d.]+ s\.\n$/);
    expect(stderr.split('\n')).toEqual([
      expect.stringMatching(/^all-refused\/[abc]: HTTP 401 \(Unauthenticated\)\. To do: check --user/),
      'Stopped, because the last error would meet each other file, too. Run the same command again to continue.',
      '',
    ]);
  });
});

describe('the run of npm run upload', () => {
  /** The items of these paths, without a walk. */
  async function* itemsOf(...paths: string[]) {
    for (const path of paths) {
      yield { path, source: join(fixture.directory, path), filename: basename(path) };
    }
  }

  async function run(user: string, items: AsyncIterable<FileItem>) {
    const terminal = captureTerminal();
    const state = newRunState();
    const report = textReport(terminal);
    const options = {
      report,
      concurrency: 4,
      md5Cache: undefined,
      signal: new AbortController().signal,
      onRetry: () => {},
    };
    const end = await uploadFiles(fixture.service.as(user), items, state, options);
    return { end, state, stderr: terminal.stderr };
  }

  it('names a file that vanished after it was found, and uploads the others', async () => {
    const user = newUser();
    await makeFolder(fixture, 'vanished', 'a', 'c');
    const { end, state, stderr } = await run(user, itemsOf('vanished/a', 'vanished/b', 'vanished/c'));
    expect({ end, ...state.tally }).toMatchObject({ end: 'complete', uploaded: 2, failed: 1 });
    expect(state).toMatchObject({ bytesHashed: 20, bytesSent: 20 });
    expect(stderr).toMatch(/^vanished\/b: .* To do: .*\n$/);
    expect(await namesOf(fixture, user)).toEqual(['a', 'c']);
  });

  it('stops at an error that each other file would meet', async () => {
    const names = Array.from({ length: 100 }, (_, i) => `${i}`);
    await makeFolder(fixture, 'refused', ...names);
    const items = itemsOf(...names.map((name) => `refused/${name}`));
    const { end, state, stderr } = await run('a,b', items);
    expect({ end, ...state.tally }).toMatchObject({ end: 'stopped', uploaded: 0, failed: 1 });
    expect(stderr.match(/\n/g)).toHaveLength(1);
  });

  it('fails with the error of a walk that breaks off', async () => {
    await makeFolder(fixture, 'broken-off', 'a');
    const items = (async function* () {
      yield* itemsOf('broken-off/a');
      throw new Error('the walk broke off');
    })();
    await expect(run(newUser(), items)).rejects.toThrow('the walk broke off');
  });
});
