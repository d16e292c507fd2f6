/**
 * `src/cli/upload/find` turns the arguments of the command into files, each with its name and its type: from
 * directories, and from standard input. The upload of a file and the report about it do not belong here.
 *
 * This file walks through the directories among the arguments. It follows links and includes hidden files. It yields a
 * file or a failure for each entry, so that no entry is left out in silence.
 *
 * The walk keeps only the directories in memory that it has not read yet. It keeps no files, so a directory of a
 * million files needs no more memory than a directory of ten.
 */
import type { Dirent, Stats } from 'node:fs';
import { lstat, opendir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { STDIN } from '../arguments.ts';
import { type Failure, failureOf } from '../failure.ts';
import { filenameOfPath } from './filename.ts';

/** A file to upload. */
interface FoundFile {
  /** The path as the user would write it: the argument, and the path below it. */
  path: string;
  /** The path for the file system. */
  absolute: string;
  /** The name that the file gets in the service. The name is not checked yet. */
  filename: string;
}

type Found = FoundFile | { path: string; failure: Failure };

interface Directory {
  path: string;
  absolute: string;
  /** The path below the argument. Empty for the argument itself. */
  relative: string;
  /** The directory that contains this one, or the link to it. */
  parent: Directory | undefined;
  /** Device and inode. Different paths to one directory have the same identity. */
  identity: string;
}

/**
 * The number of entries that one read of a directory returns. Reading 100,000 entries took 64 to 140 ms in three
 * runs. With Node's default of 32 entries it took 101 to 192 ms.
 */
const ENTRIES_PER_READ = 256;

/** Leaves out the arguments that name the same path again, such as `a` and `./a/`. The first of them stays. */
export function distinctPaths(paths: readonly string[], directory: string): string[] {
  const seen = new Set<string>();
  return paths.filter((path) => {
    const identity = path === STDIN ? STDIN : resolve(directory, path);
    const isFirst = !seen.has(identity);
    seen.add(identity);
    return isFirst;
  });
}

/** @param directory the directory to which relative paths refer */
export async function* walk(paths: readonly string[], directory: string): AsyncGenerator<Found> {
  for (const path of paths) {
    const absolute = resolve(directory, path);
    try {
      const stats = await stat(absolute);
      if (stats.isFile()) yield { path, absolute, filename: basename(absolute) };
      else if (!stats.isDirectory()) yield { path, failure: specialFile(stats) };
      else
        yield* walkDirectory({
          path,
          absolute,
          relative: '',
          parent: undefined,
          identity: identityOf(stats),
        });
    } catch (error) {
      yield { path, failure: await argumentFailure(path, absolute, error) };
    }
  }
}

async function* walkDirectory(root: Directory): AsyncGenerator<Found> {
  const unread = [root];
  for (let directory = unread.pop(); directory !== undefined; directory = unread.pop()) {
    try {
      for await (const entry of await opendir(directory.absolute, { bufferSize: ENTRIES_PER_READ })) {
        const found = await examineEntry(directory, entry);
        if ('identity' in found) unread.push(found);
        else yield found;
      }
    } catch (error) {
      yield { path: directory.path, failure: failureOf(error) };
    }
  }
}

async function examineEntry(parent: Directory, entry: Dirent): Promise<Found | Directory> {
  const path = join(parent.path, entry.name);
  const absolute = join(parent.absolute, entry.name);
  const relative = join(parent.relative, entry.name);
  const file = { path, absolute, filename: filenameOfPath(relative) };
  // An entry that is a file needs no call of `stat`. The call takes 20 µs of CPU, and the rest of the walk 2 µs for an
  // entry. Exception: an entry with U+FFFD in its name gets the call, because its real name may not be UTF-8. `stat`
  // then does not find it, and the entry becomes a failure.
  if (entry.isFile() && isDecoded(entry.name)) return file;
  try {
    const stats = await stat(absolute);
    if (stats.isFile()) return file;
    if (!stats.isDirectory()) return { path, failure: specialFile(stats) };
    const directory = { path, absolute, relative, parent, identity: identityOf(stats) };
    return isLoop(directory) ? { path, failure: LOOP } : directory;
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (isMissing && !isDecoded(entry.name)) return { path, failure: NOT_UTF_8 };
    if (isMissing && entry.isSymbolicLink()) return { path, failure: BROKEN_LINK };
    return { path, failure: failureOf(error) };
  }
}

const LOOP: Failure = {
  message: 'the link leads to a directory that contains it',
  toDo: 'remove the link; the files of that directory are uploaded without it',
};
const BROKEN_LINK: Failure = { message: 'the link leads to no file', toDo: 'repair or remove the link' };
const NOT_UTF_8: Failure = { message: 'its name is not UTF-8', toDo: 'rename it, for example with convmv' };

/** Node writes U+FFFD for the bytes of a name that are not UTF-8. */
function isDecoded(name: string): boolean {
  return !name.includes('\ufffd');
}

function isLoop({ identity, parent }: Directory): boolean {
  for (let above = parent; above !== undefined; above = above.parent) {
    if (above.identity === identity) return true;
  }
  return false;
}

function identityOf({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}

function specialFile(stats: Stats): Failure {
  if (stats.isFIFO()) {
    return {
      message: 'it is a pipe',
      toDo: 'pass its content to the command: … | npm run upload -- - --name NAME',
    };
  }
  const kind = stats.isSocket() ? 'a socket' : 'a device';
  return { message: `it is ${kind}`, toDo: 'leave it out; only regular files can be uploaded' };
}

async function argumentFailure(path: string, absolute: string, error: unknown): Promise<Failure> {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
    if (!isDecoded(path)) return NOT_UTF_8;
    const isLink = await lstat(absolute).then(
      (stats) => stats.isSymbolicLink(),
      () => false,
    );
    if (isLink) return BROKEN_LINK;
  }
  return withPatternHint(path, failureOf(error));
}

/** A shell passes a pattern such as `*.jpg` on unchanged if no file matches, so the pattern arrives as a path. */
function withPatternHint(path: string, failure: Failure): Failure {
  const isPattern = /[*?[]/.test(path);
  return isPattern ? { ...failure, toDo: 'check the pattern; the shell found no file for it' } : failure;
}
