import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Files as Kubernetes mounts a secret: links into a directory that is swapped as a whole, by renaming one link. */
export interface MountedSecret {
  path(name: string): string;
  /** All of them at once; the names are those it was made with. */
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
