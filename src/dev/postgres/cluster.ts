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

/** The superuser of every cluster that is made here. */
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
 * Returns the user that owns the cluster. Undefined when there is no cluster yet. The owner must be the user
 * of the service. For a service of root the owner is the user that Postgres ran as before; only root can put
 * a cluster here.
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
 * initdb writes to a sibling directory, which one rename at the end gives its final name. After a crash in
 * the middle there is no cluster, and the next start creates a new one.
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
    // A password, because other users of this machine can open the loopback port too. The password has
    // 192 random bits and needs no stretching: one round instead of 4096 saves both ends milliseconds on
    // every new connection.
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
    '--set=scram_iterations=1',
    // Text sorts by its bytes on every machine, and the order survives every upgrade of the C library.
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
    // The initdb of a service that was killed a moment ago can still be writing its last file, hence the
    // retries.
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
