import { access, constants } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';

/**
 * The path of the program, if it is installed. Debian installs servers in /usr/sbin, which is only in root's
 * PATH.
 */
export async function findServer(name: string): Promise<string | undefined> {
  for (const directory of [...(process.env.PATH ?? '').split(':'), '/usr/sbin']) {
    const path = join(directory, name);
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (directory !== '' && runs) return path;
  }
  return undefined;
}

/** Whether a server listens on this port of loopback. */
export function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
