/** The files of the bundled page. */
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';

interface Asset {
  type: string;
  bytes: Buffer;
}

const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript' };

/** @returns undefined when there is no such file */
export async function assetAt(folder: string, path: string): Promise<Asset | undefined> {
  const name = path.endsWith('/') ? `${path}index.html` : path;
  const type = TYPES[extname(name)];
  if (type === undefined || name.includes('..')) return undefined;
  const bytes = await readFile(join(folder, name)).catch(() => undefined);
  return bytes === undefined ? undefined : { type, bytes };
}
