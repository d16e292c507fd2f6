import { access, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The file that says that everything is in a cache. */
const MARK = 'complete';

export async function isComplete(cache: string): Promise<boolean> {
  return access(join(cache, MARK)).then(
    () => true,
    () => false,
  );
}

/** Fills an empty cache, and marks it if that succeeded. */
export async function complete(cache: string, fill: () => Promise<void>): Promise<void> {
  await rm(cache, { recursive: true, force: true });
  await mkdir(cache, { recursive: true });
  await fill();
  await writeFile(join(cache, MARK), '');
}
