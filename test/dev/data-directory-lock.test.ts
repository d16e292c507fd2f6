import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockDataDirectory } from '../../src/dev/data-directory/data-directory-lock.ts';

const MODULE = new URL('../../src/dev/data-directory/data-directory-lock.ts', import.meta.url).href;

let directory: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'data-directory-lock-'));
});

afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
  await rm(directory, { recursive: true, force: true });
});

/** Runs code in another process, and resolves when that process has written its first output. */
async function elsewhere(code: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const { stdout } = child;
  if (stdout === null) throw new Error('no pipe');
  await once(stdout, 'data');
  return child;
}

function holderElsewhere(): Promise<ChildProcess> {
  return elsewhere(`
    import { lockDataDirectory } from ${JSON.stringify(MODULE)};
    lockDataDirectory(${JSON.stringify(directory)});
    process.stdout.write('locked');
    setInterval(() => {}, 60_000);
  `);
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

test('refuses a directory that another process has locked, and names that process', async () => {
  const holder = await holderElsewhere();
  expect(() => lockDataDirectory(directory)).toThrow(
    `${directory} is in use by another running service (pid ${holder.pid})`,
  );
});

test('a process that is suspended keeps its lock', async () => {
  const holder = await holderElsewhere();
  holder.kill('SIGSTOP');
  expect(() => lockDataDirectory(directory)).toThrow(
    `is in use by another running service (pid ${holder.pid}).`,
  );
});

test('kill -9 of the process frees its lock', async () => {
  await kill(await holderElsewhere());
  lockDataDirectory(directory).release();
});

test('release frees the lock, and may be called again', () => {
  const lock = lockDataDirectory(directory);
  lock.release();
  lock.release();
  lockDataDirectory(directory).release();
});

test('a refused process learns whether the holder has announced its servers, and not of those of a killed holder', async () => {
  await writeFile(join(directory, 'file-service.ready'), '', { mode: 0o600 });
  const refusal = () => {
    try {
      return lockDataDirectory(directory);
    } catch (error) {
      return error;
    }
  };
  const lock = lockDataDirectory(directory);
  expect(refusal()).toMatchObject({ name: 'InUseError', directory, hasServers: false });
  lock.announceServers();
  expect(refusal()).toMatchObject({ hasServers: true });
  lock.release();
  expect(await readdir(directory)).toEqual(['file-service.lock']);
});

test('a link to a locked directory is refused too', async () => {
  const lock = lockDataDirectory(directory);
  const link = join(directory, 'link');
  await symlink(directory, link);
  expect(() => lockDataDirectory(link)).toThrow('is in use');
  lock.release();
});

test('a second lock of the same process is refused, and leaves the first lock in place', async () => {
  const lock = lockDataDirectory(directory);
  expect(() => lockDataDirectory(directory)).toThrow(`(pid ${process.pid})`);
  const attempt = await elsewhere(`
    import { lockDataDirectory } from ${JSON.stringify(MODULE)};
    try {
      lockDataDirectory(${JSON.stringify(directory)});
      process.stdout.write('locked');
      process.exit(1);
    } catch {
      process.stdout.write('refused');
    }
  `);
  if (attempt.exitCode === null) await once(attempt, 'exit');
  expect(attempt.exitCode).toBe(0);
  lock.release();
});

test('one of eight processes that lock at once gets the lock', async () => {
  const results = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const child = spawn(
        process.execPath,
        [
          '--input-type=module',
          '--eval',
          `import { lockDataDirectory } from ${JSON.stringify(MODULE)};
           try {
             lockDataDirectory(${JSON.stringify(directory)});
             console.log('locked');
             setInterval(() => {}, 60_000);
           } catch {
             console.log('refused');
           }`,
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      children.push(child);
      const [line] = await once(child.stdout, 'data');
      return String(line).trim();
    }),
  );
  expect(results.toSorted()).toEqual(['locked', ...Array(7).fill('refused')]);
});

test('a missing directory is created', () => {
  lockDataDirectory(join(directory, 'a', 'b')).release();
});

test('the lock does not keep its process alive', async () => {
  const child = await elsewhere(`
    import { lockDataDirectory } from ${JSON.stringify(MODULE)};
    lockDataDirectory(${JSON.stringify(directory)});
    process.stdout.write('locked');
  `);
  if (child.exitCode === null) await once(child, 'exit');
  expect(child.exitCode).toBe(0);
});

test('the lock consists of two files that no other user can open', async () => {
  const lock = lockDataDirectory(directory);
  const names = await readdir(directory);
  expect(names.toSorted()).toEqual(['file-service.lock', 'file-service.pid']);
  for (const name of names) expect((await stat(join(directory, name))).mode & 0o777, name).toBe(0o600);
  lock.release();
});

test('the error shows the content of the pid file only if the content is a pid', async () => {
  const lock = lockDataDirectory(directory);
  for (const text of ['\u001b[31m', '1\nforged', '-1', '0', '\u202e1', '12 ']) {
    await writeFile(join(directory, 'file-service.pid'), text);
    expect(() => lockDataDirectory(directory), JSON.stringify(text)).toThrow(
      /^[\x20-\x7e]* is in use by another running service\. Stop that service first[\x20-\x7e]*$/,
    );
  }
  lock.release();
});
