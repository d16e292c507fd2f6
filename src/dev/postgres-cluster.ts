import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chown, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Launcher, Owner } from './postgres-launcher.ts';

/** The superuser of every cluster that is made here. */
export const POSTGRES_USER = 'postgres';

/** Postgres's files and the password that opens them. Both are there, or neither is. */
export interface Cluster {
  readonly dataDirectory: string;
  readonly password: string;
}

const FINISHED = 'cluster';
const UNFINISHED_PREFIX = 'cluster.unfinished-';

export function dataDirectoryIn(directory: string): string {
  return join(directory, FINISHED, 'data');
}

/** Undefined when there is no cluster yet. */
export async function clusterOwner(directory: string): Promise<Owner | undefined> {
  try {
    const { uid, gid } = await stat(dataDirectoryIn(directory));
    return { uid, gid };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    if (code !== 'EACCES') throw error;
    throw new Error(
      `The Postgres in ${directory} was made by another user (root?). Start as that user, remove the directory, or set ` +
        'DATA_DIR to another one.',
      { cause: error },
    );
  }
}

export async function openCluster(directory: string): Promise<Cluster> {
  const password = await readFile(join(directory, FINISHED, 'password'), 'utf8');
  return { dataDirectory: dataDirectoryIn(directory), password };
}

/**
 * initdb works in a sibling that gets its name by one rename at the end. After a crash in the middle there is no
 * cluster, and the next start makes a new one.
 */
export async function createCluster(
  directory: string,
  initdb: string,
  launcher: Launcher,
  syncToDisk: boolean,
): Promise<void> {
  await removeUnfinished(directory);
  const unfinished = join(directory, UNFINISHED_PREFIX + randomBytes(4).toString('hex'));
  await mkdir(unfinished, { mode: 0o700 });
  const passwordFile = join(unfinished, 'password');
  await writeFile(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600 });
  if (launcher.owner !== undefined) {
    await chown(passwordFile, launcher.owner.uid, launcher.owner.gid);
    await chown(unfinished, launcher.owner.uid, launcher.owner.gid);
  }
  await runInitdb(initdb, launcher, [
    `--pgdata=${join(unfinished, 'data')}`,
    `--username=${POSTGRES_USER}`,
    // Other users of this machine can open the loopback port too, hence a password. It is 192 random bits, which need
    // no stretching: one round instead of 4096 saves both ends their milliseconds on every new connection.
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
    '--set=scram_iterations=1',
    // Text sorts by its bytes, on every machine and after every upgrade of its C library.
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    ...(syncToDisk ? [] : ['--no-sync']),
  ]);
  await rename(unfinished, join(directory, FINISHED));
}

async function removeUnfinished(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(UNFINISHED_PREFIX)) continue;
    // The initdb of a service that was killed a moment ago may still be writing its last file.
    await rm(join(directory, name), { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
}

async function runInitdb(initdb: string, launcher: Launcher, args: readonly string[]): Promise<void> {
  const child = launcher.launch(initdb, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    signalOnOurDeath: 'SIGTERM',
  });
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('initdb was started without its pipes');
  const [output, complaints, [code, signal]] = await Promise.all([
    text(stdout),
    text(stderr),
    once(child, 'exit'),
  ]);
  if (code !== 0) {
    throw new Error(
      `initdb failed (${signal ?? `exit code ${code}`}); set DATABASE_URL to do without it.\n${output}${complaints}`,
    );
  }
}
