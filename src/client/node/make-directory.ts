import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Creates a directory, and the missing directories above it.
 *
 * The option `recursive` of Node's `mkdir` is not used, because it repeats its calls for ever where a directory exists
 * and can contain no other: in /proc, or below the mount point of an automounter.
 */
export async function makeDirectory(path: string, mode: number): Promise<void> {
  try {
    await mkdirUnlessThere(path, mode);
  } catch (error) {
    const isParentMissing = (error as NodeJS.ErrnoException).code === 'ENOENT' && dirname(path) !== path;
    if (!isParentMissing) throw error;
    await makeDirectory(dirname(path), mode);
    await mkdirUnlessThere(path, mode);
  }
}

async function mkdirUnlessThere(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    // A server of network files may refuse to create a directory that exists already.
    const stats = await stat(path).catch(() => undefined);
    if (!stats?.isDirectory()) throw error;
  }
}
