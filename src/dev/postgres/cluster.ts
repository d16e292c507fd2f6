/** Creates and opens the cluster: the data directory of Postgres, and the password of its superuser. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { lstatSync } from 'node:fs';
import { chown, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { printable, printableLines } from '../../text/printable.ts';
import { serviceUid } from '../data-directory/ownership.ts';
import { assertOwnDirectory } from '../data-directory/private-directory.ts';
import { readPrivateFile } from '../data-directory/private-file.ts';
import type { Launcher, Owner } from './launcher.ts';

/** The superuser of every cluster that this file creates. */
export const POSTGRES_USER = 'postgres';

/** The data directory of Postgres and the password for it. Both exist, or neither does. */
export interface Cluster {
  readonly dataDirectory: string;
  readonly password: string;
}

const FINISHED = 'cluster';
const UNFINISHED_PREFIX = 'cluster.unfinished-';

export function dataDirectoryIn(directory: string): string {
  return join(directory, FINISHED, 'data');
}

/**
 * Returns the user that owns the cluster, or undefined when there is no cluster yet. If the service does not
 * run as root, the owner must be the user of the service. If the service runs as root, it runs Postgres as
 * another user, and that user owns the cluster. The service then accepts any owner except root, because only
 * root can put a cluster here.
 *
 * @throws when a part of the cluster is a link, belongs to another user, or can be written by another user
 */
export function clusterOwner(directory: string): Owner | undefined {
  const cluster = join(directory, FINISHED);
  const stats = lstatSync(cluster, { throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  const { uid, gid } = stats;
  const owner = serviceUid() === 0 ? uid : serviceUid();
  assertOwnDirectory(cluster, owner);
  if (owner === 0) throw ownedByRootError(cluster);
  assertOwnDirectory(dataDirectoryIn(directory), owner);
  return { uid, gid };
}

function ownedByRootError(path: string): Error {
  return new Error(
    `${printable(path)} is owned by root, but Postgres must not run as root. ` +
      'Give it to another user with chown -R, remove it, or set DATA_DIR to another directory.',
  );
}

const PASSWORD_BYTES = 24;
const PASSWORD = /^[A-Za-z0-9_-]{32}$/;
const PASSWORD_MAX_BYTES = 32;

export function openCluster(directory: string): Cluster {
  const path = join(directory, FINISHED, 'password');
  const password = readPrivateFile(path, PASSWORD_MAX_BYTES, clusterOwner(directory)?.uid);
  if (password === undefined || !PASSWORD.test(password)) {
    throw new Error(
      `${printable(path)} does not hold the password that the service has made for Postgres. ` +
        'Restore the file, or remove its directory: the service then creates a new, empty Postgres.',
    );
  }
  return { dataDirectory: dataDirectoryIn(directory), password };
}

/**
 * initdb writes to a directory with a temporary name. One rename at the end gives the directory its final
 * name. If the service crashes before the rename, there is no cluster, and the next start creates a new one.
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
  await writeFile(passwordFile, randomBytes(PASSWORD_BYTES).toString('base64url'), {
    mode: 0o600,
    flag: 'wx',
  });
  if (launcher.owner !== undefined) {
    await chown(passwordFile, launcher.owner.uid, launcher.owner.gid);
    await chown(unfinished, launcher.owner.uid, launcher.owner.gid);
  }
  await runInitdb(initdb, launcher, [
    `--pgdata=${join(unfinished, 'data')}`,
    `--username=${POSTGRES_USER}`,
    // Postgres demands a password, because other users of this machine can open its loopback port too. Many
    // rounds of hashing protect only a password that can be guessed, and this one has 192 random bits. One
    // round instead of 4096 saves the service and Postgres milliseconds on every new connection.
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
    '--set=scram_iterations=1',
    // With these locales, text sorts by its bytes on every machine, and no upgrade of the C library changes the order.
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
    // If a service was killed a moment ago, its initdb can still be writing its last file. Removing the
    // directory then fails, and is tried again.
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
  const [output, errors, [code, signal]] = await Promise.all([
    text(stdout),
    text(stderr),
    once(child, 'exit'),
  ]);
  if (code !== 0) {
    throw new Error(
      `initdb failed (${signal ?? `exit code ${code}`}). To use another Postgres, set DATABASE_URL.\n` +
        printableLines(output + errors),
    );
  }
}
