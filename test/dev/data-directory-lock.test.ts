import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { listenOnFile, lockDataDirectory } from '../../src/dev/data-directory-lock.ts';

const MODULE = new URL('../../src/dev/data-directory-lock.ts', import.meta.url).href;

let directory: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'data-directory-lock-'));
});

afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
  await rm(directory, { recursive: true, force: true });
});

/** Runs code in another process, and resolves when it has written something. */
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
    await lockDataDirectory(${JSON.stringify(directory)});
    process.stdout.write('locked');
    setInterval(() => {}, 60_000);
  `);
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

test('a directory that another process holds is refused, and the holder named', async () => {
  const holder = await holderElsewhere();
  await expect(lockDataDirectory(directory)).rejects.toThrow(
    `${directory} is in use by another running service (pid ${holder.pid})`,
  );
});

test('a holder that does not answer still holds', async () => {
  const holder = await holderElsewhere();
  holder.kill('SIGSTOP');
  await expect(lockDataDirectory(directory)).rejects.toThrow('is in use by another running service.');
});

test('kill -9 of the holder frees the directory', async () => {
  await kill(await holderElsewhere());
  await (await lockDataDirectory(directory)).release();
});

test('release frees the directory, and may be called again', async () => {
  const lock = await lockDataDirectory(directory);
  await lock.release();
  await lock.release();
  await (await lockDataDirectory(directory)).release();
});

test('another path to the same directory meets the same lock', async () => {
  const lock = await lockDataDirectory(directory);
  const link = join(directory, 'link');
  await symlink(directory, link);
  await expect(lockDataDirectory(link)).rejects.toThrow('is in use');
  await lock.release();
});

test('of many that ask at once, one gets the lock', async () => {
  const asked = await Promise.allSettled(Array.from({ length: 20 }, () => lockDataDirectory(directory)));
  const locks = asked.filter((result) => result.status === 'fulfilled');
  expect(locks).toHaveLength(1);
  for (const { value } of locks) await value.release();
});

test('a directory that is not there yet is made', async () => {
  await (await lockDataDirectory(join(directory, 'a', 'b'))).release();
});

test('the lock does not keep its process alive', async () => {
  const child = await elsewhere(`
    import { lockDataDirectory } from ${JSON.stringify(MODULE)};
    await lockDataDirectory(${JSON.stringify(directory)});
    process.stdout.write('locked');
  `);
  if (child.exitCode === null) await once(child, 'exit');
  expect(child.exitCode).toBe(0);
});

test('where sockets are files: a dead one is replaced, a living one respected', async () => {
  const path = join(directory, 'lock.sock');
  await kill(
    await elsewhere(`
      import { createServer } from 'node:net';
      createServer().listen(${JSON.stringify(path)}, () => process.stdout.write('listening'));
    `),
  );
  const held = await listenOnFile(path);
  expect(held).toHaveProperty('server');
  expect(await listenOnFile(path)).toEqual({ owner: String(process.pid) });
  if ('server' in held) await new Promise((resolve) => held.server.close(resolve));
});

test('a listener of something else on the file is not pushed aside', async () => {
  const path = join(directory, 'lock.sock');
  const stranger = createServer((socket) => socket.end()).listen(path);
  await once(stranger, 'listening');
  expect(await listenOnFile(path)).toEqual({ owner: '' });
  stranger.close();
});
