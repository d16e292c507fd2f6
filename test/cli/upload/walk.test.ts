import { execFileSync } from 'node:child_process';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { distinctPaths, walk } from '../../../src/cli/upload/find/walk.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../../harness/temporary-directory.ts';

let root: TemporaryDirectory;
beforeAll(async () => {
  root = await temporaryDirectory();
});
afterAll(() => root[Symbol.asyncDispose]());

/** Makes a directory with these files, and returns its path. */
async function tree(name: string, ...files: string[]): Promise<string> {
  const path = join(root.path, name);
  await mkdir(path, { recursive: true });
  for (const file of files) {
    await mkdir(join(path, file, '..'), { recursive: true });
    await writeFile(join(path, file), file);
  }
  return path;
}

/** Walks over the paths, and returns each found path with its filename or the message of its failure. */
async function walked(...paths: string[]): Promise<Record<string, string>> {
  const all: Record<string, string> = {};
  for await (const found of walk(paths, root.path)) {
    all[found.path] = 'failure' in found ? found.failure.message : found.filename;
  }
  return all;
}

describe('the walk', () => {
  it('finds all files below a directory, hidden ones too, and names them after their path in it', async () => {
    await tree('photos', 'a.jpg', '2024/b.jpg', '2024/.hidden/.c', 'empty/../d', 'e／f/‛');
    await mkdir(join(root.path, 'photos/empty'));
    expect(await walked('photos')).toEqual({
      'photos/a.jpg': 'a.jpg',
      'photos/2024/b.jpg': '2024／b.jpg',
      'photos/2024/.hidden/.c': '2024／.hidden／.c',
      'photos/d': 'd',
      'photos/e／f/‛': 'e‛／f／‛‛',
    });
    expect(await walked('photos/a.jpg', join(root.path, 'photos/2024/'))).toEqual({
      'photos/a.jpg': 'a.jpg',
      [join(root.path, 'photos/2024/b.jpg')]: 'b.jpg',
      [join(root.path, 'photos/2024/.hidden/.c')]: '.hidden／.c',
    });
  });

  it('follows links to files and directories', async () => {
    const path = await tree('links', 'real/a');
    await symlink('real/a', join(path, 'file'));
    await symlink('real', join(path, 'directory'));
    await symlink('links', join(root.path, 'argument'));
    expect(await walked('argument')).toEqual({
      'argument/real/a': 'real／a',
      'argument/file': 'file',
      'argument/directory/a': 'directory／a',
    });
  });

  it('names a link to a directory that contains it, and a link without a file', async () => {
    const path = await tree('loops', 'a/b/file');
    await symlink('..', join(path, 'a/b/up'));
    await symlink('.', join(path, 'self'));
    await symlink('nothing', join(path, 'broken'));
    await symlink('circle', join(path, 'circle'));
    expect(await walked('loops')).toEqual({
      'loops/a/b/file': 'a／b／file',
      'loops/a/b/up': 'the link leads to a directory that contains it',
      'loops/self': 'the link leads to a directory that contains it',
      'loops/broken': 'the link leads to no file',
      'loops/circle': 'its symbolic links lead in a circle (ELOOP)',
    });
    expect(await walked('loops/broken')).toEqual({ 'loops/broken': 'the link leads to no file' });
  });

  it('ends where links of two directories lead to each other', async () => {
    const path = await tree('crossed', 'a/x', 'b/y');
    await symlink('../b', join(path, 'a/to-b'));
    await symlink('../a', join(path, 'b/to-a'));
    expect(Object.keys(await walked('crossed')).toSorted()).toEqual([
      'crossed/a/to-b/to-a',
      'crossed/a/to-b/y',
      'crossed/a/x',
      'crossed/b/to-a/to-b',
      'crossed/b/to-a/x',
      'crossed/b/y',
    ]);
  });

  it('names a pipe, a socket and a device at once, without opening them', async () => {
    const path = await tree('special', 'a');
    execFileSync('mkfifo', [join(path, 'pipe')]);
    await using server = createServer();
    await new Promise<void>((resolve) => server.listen(join(path, 'socket'), resolve));
    const special = { 'special/pipe': 'it is a pipe', 'special/socket': 'it is a socket' };
    expect(await walked('special')).toEqual({ 'special/a': 'a', ...special });
    expect(await walked('special/pipe', 'special/socket', '/dev/null')).toEqual({
      ...special,
      '/dev/null': 'it is a device',
    });
  });

  it('names what does not exist, and tells a pattern without a match from a path', async () => {
    const failures = [];
    for await (const found of walk(['none', '*.gif', 'photos/a.jpg/x'], root.path)) {
      if ('failure' in found) failures.push([found.path, found.failure.message, found.failure.toDo]);
    }
    expect(failures).toEqual([
      ['none', 'there is no such file (ENOENT)', 'check the path'],
      ['*.gif', 'there is no such file (ENOENT)', 'check the pattern; the shell found no file for it'],
      ['photos/a.jpg/x', 'a part of the path is not a directory (ENOTDIR)', 'check the path'],
    ]);
  });

  it('names a file whose name is not UTF-8', async () => {
    const path = await tree('latin', 'a');
    await writeFile(Buffer.concat([Buffer.from(`${path}/`), Buffer.from([0xfc])]), 'b');
    expect(await walked('latin')).toEqual({ 'latin/a': 'a', 'latin/\ufffd': 'its name is not UTF-8' });
    expect(await walked('latin/\ufffd')).toEqual({ 'latin/\ufffd': 'its name is not UTF-8' });
  });

  it('names a path that is too long', async () => {
    const path = await tree('long', 'z/a');
    const names = Array.from({ length: 20 }, () => 'n'.repeat(250));
    // A shell makes the directories one in the other, because the system refuses a whole path of this length.
    const script = 'for name; do mkdir "$name" && cd -P "$name" || exit; done';
    execFileSync('sh', ['-c', script, 'sh', ...names], { cwd: path });
    const found = await walked('long');
    // node:fs cannot remove a path of this length.
    execFileSync('rm', ['-r', path]);
    expect(found['long/z/a']).toBe('z／a');
    expect(Object.values(found)).toContain('its path is too long (ENAMETOOLONG)');
  });

  it('goes on after a directory that cannot be read', async () => {
    const path = await tree('vanishing', 'a/file', 'b/file', 'c/file');
    const found: string[] = [];
    for await (const { path: shown, ...rest } of walk(['vanishing'], root.path)) {
      found.push('failure' in rest ? rest.failure.message : 'a file');
      // The walk knows the other two directories by now, and has not read them.
      for (const name of ['a', 'b', 'c']) {
        if (!shown.includes(`/${name}`)) await rm(join(path, name), { recursive: true, force: true });
      }
    }
    const missing = 'there is no such file (ENOENT)';
    expect(found).toEqual(['a file', missing, missing]);
  });

  it('yields the first files of a large directory before it has read the last', async () => {
    await tree('large', ...Array.from({ length: 2_000 }, (_, i) => `f${i}`));
    let count = 0;
    for await (const found of walk(['large'], root.path)) {
      expect('failure' in found).toBe(false);
      count += 1;
      if (count === 10) break;
    }
    expect(count).toBe(10);
    expect(Object.keys(await walked('large'))).toHaveLength(2_000);
  });
});

it('an argument that names the same path again is taken once', () => {
  expect(distinctPaths(['a', './a', 'b/', '-', 'b', '/x/a', '-'], '/x')).toEqual(['a', 'b/', '-']);
});
