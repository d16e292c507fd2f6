import { fstatSync, readdirSync, type Stats, statSync } from 'node:fs';
import { readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** Which of these files this process has open. Linux and macOS both list the descriptors of a process in /dev/fd. */
export function openFiles(paths: readonly string[]): string[] {
  const open = new Set(readdirSync('/dev/fd').map((descriptor) => openFile(Number(descriptor))));
  return paths.filter((path) => open.has(identity(statSync(path))));
}

function openFile(descriptor: number): string | undefined {
  try {
    return identity(fstatSync(descriptor));
  } catch {
    return undefined; // the descriptor of the list itself, which is closed by now
  }
}

function identity({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}

/**
 * The paths of all files that a process has open, by default this process. The path of a file without a name ends with
 * ` (deleted)`. Only Linux lists them.
 */
export async function openPaths(pid: number | 'self' = 'self'): Promise<string[]> {
  const folder = `/proc/${pid}/fd`;
  const descriptors = await readdir(folder).catch(() => []);
  return Promise.all(descriptors.map((name) => readlink(join(folder, name)).catch(() => '')));
}
