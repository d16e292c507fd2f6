import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, rm, stat } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

export interface DataDirectoryLock {
  readonly release: () => Promise<void>;
}

/**
 * Makes this process the only one on a data directory, until it releases the lock or dies; refused while another
 * process holds it. The directory is made when missing. The lock does not keep the process alive.
 *
 * The lock is a listening socket and not a pid file: the kernel frees it with its owner, however that one ends, and no
 * later process inherits it by getting the same pid. It is named after the directory's device and inode, so every path
 * to the directory (links, bind mounts) meets the same lock.
 */
export async function lockDataDirectory(directory: string): Promise<DataDirectoryLock> {
  await mkdir(directory, { recursive: true });
  const { dev, ino } = await stat(directory, { bigint: true });
  const name = `file-service-${createHash('sha256').update(`${dev}:${ino}`).digest('hex').slice(0, 32)}`;
  const held =
    process.platform === 'linux' ? await listen(`\0${name}`) : await listenOnFile(socketFile(name));
  if ('server' in held) return { release: () => close(held.server) };
  throw new Error(
    `${directory} is in use by another running service${held.owner === '' ? '' : ` (pid ${held.owner})`}. ` +
      'Stop that one first, or set DATA_DIR to a directory of its own for this one.',
  );
}

/** Held by us, or by a process that may have told its pid. */
type Held = { readonly server: Server } | { readonly owner: string };

/** A stopped or busy owner still holds the lock; its pid is then simply not told. */
const OWNER_ANSWER_TIMEOUT_MS = 1000;

/**
 * On Linux the socket's name is an abstract one (it starts with NUL): there is no file that could outlive its owner,
 * so "the name is taken" is the whole answer.
 */
async function listen(path: string): Promise<Held> {
  const server = createServer((socket) => {
    socket.on('error', () => {}); // whoever asked has gone again
    socket.unref();
    socket.end(String(process.pid));
  });
  server.listen({ path, exclusive: true });
  server.unref();
  try {
    await once(server, 'listening');
    return { server };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    return { owner: (await ask(path)) ?? '' };
  }
}

/**
 * Elsewhere the socket is a file, which stays when its owner is killed. Nobody answers there then, and it is removed.
 * Two processes that find the same dead socket in the same millisecond can both get the lock; abstract names cannot.
 */
export async function listenOnFile(path: string): Promise<Held> {
  const held = await listen(path);
  if ('server' in held || (await ask(path)) !== undefined) return held;
  await rm(path, { force: true });
  return listen(path);
}

/** What the listener at this path says, empty when it takes too long; undefined when nobody listens. */
async function ask(path: string): Promise<string | undefined> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    socket.setTimeout(OWNER_ANSWER_TIMEOUT_MS, () => socket.destroy());
    return await text(socket).catch(() => '');
  } catch {
    return undefined;
  } finally {
    socket.destroy();
  }
}

function socketFile(name: string): string {
  return join(tmpdir(), `${name}.sock`);
}

/** May be called repeatedly: closing a closed server is what the caller wanted. */
function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
