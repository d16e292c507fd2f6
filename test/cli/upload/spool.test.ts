import { readdir } from 'node:fs/promises';
import { PassThrough, Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { spool } from '../../../src/cli/upload/find/spool.ts';
import { openPaths } from '../../harness/open-files.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../../harness/temporary-directory.ts';

let directory: TemporaryDirectory;
beforeAll(async () => {
  directory = await temporaryDirectory();
  vi.stubEnv('TMPDIR', directory.path);
});
afterAll(() => {
  vi.unstubAllEnvs();
  return directory[Symbol.asyncDispose]();
});

const never = new AbortController().signal;
const ignoreBytes = () => {};

/** The files in the directory that this process has open. */
async function openCopies(): Promise<string[]> {
  return (await openPaths()).filter((path) => path.startsWith(directory.path));
}

describe.runIf(process.platform === 'linux')('the copy of standard input', () => {
  it('has all bytes, and no name, and only its owner may open it', async () => {
    const counted: number[] = [];
    const stream = Readable.from([Buffer.from('from '), Buffer.from('a pipe')]);
    await using file = await spool(stream, never, (bytes) => counted.push(bytes));
    expect(counted).toEqual([5, 6]);
    const text = Buffer.alloc(20);
    const { bytesRead } = await file.read(text, 0, text.length, 0);
    expect(text.toString('utf8', 0, bytesRead)).toBe('from a pipe');
    const { mode, nlink } = await file.stat();
    expect({ permissions: mode & 0o777, nlink }).toEqual({ permissions: 0o600, nlink: 0 });
    expect(await readdir(directory.path)).toEqual([]);
    expect(await openCopies()).toHaveLength(1);
  });

  it('is closed if the stream breaks off', async () => {
    const stream = Readable.from(
      (async function* () {
        yield Buffer.from('half');
        throw new Error('the pipe broke');
      })(),
    );
    await expect(spool(stream, never, ignoreBytes)).rejects.toThrow('the pipe broke');
    expect(await openCopies()).toEqual([]);
  });

  it.each(['before the first byte', 'while the stream has no more bytes'])(
    'is closed at an abort %s, and so is the stream',
    async (moment) => {
      const stream = new PassThrough();
      const aborted = new AbortController();
      const abort = () => aborted.abort();
      if (moment === 'before the first byte') abort();
      else stream.write('half');
      await expect(spool(stream, aborted.signal, () => setImmediate(abort))).rejects.toThrow('abort');
      expect(stream.destroyed).toBe(true);
      expect(await openCopies()).toEqual([]);
    },
  );
});
