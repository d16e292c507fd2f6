import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect } from 'vitest';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import { runUpload } from '../../src/cli/upload.ts';
import { captureTerminal } from '../harness/captured-terminal.ts';
import type { Fixture } from './fixture.ts';

/** The circumstances of a run. */
export interface Outside {
  url?: string;
  signal?: AbortSignal;
  stdin?: Readable;
  /** The current directory. */
  directory?: string;
  isTTY?: boolean;
  md5CachePath?: string;
}

/** Runs `npm run upload` in the process of the test, as src/main.ts does, with its output captured. */
export async function runUploadOn(fixture: Fixture, args: string[], outside: Outside = {}) {
  const { url = fixture.service.httpUrl, signal = new AbortController().signal } = outside;
  const { stdin = Readable.from([]), directory = fixture.directory, isTTY = false } = outside;
  const { md5CachePath = join(fixture.directory, 'cache/md5s') } = outside;
  const context = {
    url,
    userIdHeader: 'x-user-id',
    gatewayToken: undefined,
    openStdin: () => stdin,
    directory,
    md5CachePath,
  };
  const terminal = captureTerminal(isTTY);
  const code = await runUpload(args, () => context, terminal, signal);
  return { code, stdout: terminal.stdout, stderr: terminal.stderr };
}

/** Makes a directory with these files in the directory of the fixture. @returns `name` */
export async function makeFolder(fixture: Fixture, name: string, ...files: string[]): Promise<string> {
  for (const file of files) {
    const path = join(fixture.directory, name, file);
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(path, `${name}/${file}`);
  }
  return name;
}

/** The names of the user's files, which must all be READY. */
export async function namesOf(fixture: Fixture, user: string): Promise<string[]> {
  const { files } = await fixture.service.as(user).listFiles({});
  expect(files.every(({ state }) => state === FileState.READY)).toBe(true);
  return files.map(({ filename }) => filename).toSorted();
}

/** The printed lines, sorted, because files of one run are done in any order. */
export function sortedLines(text: string): string[] {
  return text.trimEnd().split('\n').toSorted();
}
