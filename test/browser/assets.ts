/** The files of the page in a form that a browser can load. This replaces a bundler. */
import { readFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { basename, join } from 'node:path';

export interface Asset {
  type: string;
  text: string;
}

const PAGE = join(import.meta.dirname, 'page');
const PACKAGES = join(import.meta.dirname, '../../node_modules');

/** `undefined` when there is no such file. */
export async function assetAt(path: string): Promise<Asset | undefined> {
  if (path === '/') return { type: 'text/html', text: await readFile(join(PAGE, 'index.html'), 'utf8') };
  if (path === '/hash-wasm.js') {
    const text = await readFile(join(PACKAGES, 'hash-wasm/dist/index.esm.min.js'), 'utf8');
    return { type: 'text/javascript', text };
  }
  if (!/^\/[a-z-]+\.ts$/.test(path)) return undefined;
  const source = await readFile(join(PAGE, basename(path)), 'utf8');
  const text = stripTypeScriptTypes(source).replace("from 'hash-wasm'", "from '/hash-wasm.js'");
  return { type: 'text/javascript', text };
}
