import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Files as Kubernetes mounts a secret: links into a directory that one rename of a link replaces as a whole.
 */
export interface MountedSecret {
  path(name: string): string;
  /** Replaces all files at once. The names must be the names of the first version. */
  replace(files: Record<string, string>): Promise<void>;
}

export async function mountSecret(directory: string, files: Record<string, string>): Promise<MountedSecret> {
  let version = 0;
  const replace = async (next: Record<string, string>) => {
    const name = `..${++version}`;
    await mkdir(join(directory, name));
    for (const [file, text] of Object.entries(next)) await writeFile(join(directory, name, file), text);
    await symlink(name, join(directory, '..next'));
    await rename(join(directory, '..next'), join(directory, '..data'));
  };
  await replace(files);
  for (const file of Object.keys(files)) await symlink(join('..data', file), join(directory, file));
  return { path: (name) => join(directory, name), replace };
}
