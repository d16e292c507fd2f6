/** Bundles the page with the packed client, as the project of a caller does. */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build as buildWithEsbuild } from 'esbuild';
import { build as buildWithVite } from 'vite';
import { installClient } from '../client/installed-package.ts';
import type { TemporaryDirectory } from '../harness/temporary-directory.ts';

const PAGE = join(import.meta.dirname, 'page');

/** The folders of `assets`. Each has the page, bundled in another way. */
export const BUNDLES = {
  /** Vite finds the worker of the client by itself. */
  vite: '/',
  /** esbuild does not find the worker, so the client must hash without the worker. */
  esbuild: '/esbuild/',
  /** esbuild with the worker as a second entry point. */
  esbuildWithWorker: '/esbuild-with-worker/',
} as const;

interface Bundle extends AsyncDisposable {
  /** The folder with the files for the browser. */
  readonly assets: string;
}

export async function bundlePage(): Promise<Bundle> {
  const project = await installClient('@connectrpc/connect-web', '@uppy/core', '@uppy/aws-s3');
  try {
    return { assets: await bundle(project), [Symbol.asyncDispose]: () => project[Symbol.asyncDispose]() };
  } catch (error) {
    await project[Symbol.asyncDispose]();
    throw error;
  }
}

async function bundle({ path: project }: TemporaryDirectory): Promise<string> {
  const page = join(project, 'page');
  const assets = join(project, 'assets');
  await cp(PAGE, page, { recursive: true });
  // In the repository, this path leads to the source of the client. The bundle must use the installed package.
  await writeFile(join(page, 'tsconfig.json'), '{}');
  await buildWithVite({
    configFile: false,
    logLevel: 'silent',
    root: page,
    build: {
      outDir: assets,
      rolldownOptions: { input: ['index.html', 'uppy.html'].map((name) => join(page, name)) },
    },
    worker: { format: 'es' },
  });
  const entry = join(page, 'page.ts');
  await withEsbuild(page, join(assets, 'esbuild'), { page: entry });
  await withEsbuild(page, join(assets, 'esbuild-with-worker'), {
    page: entry,
    'md5-worker': 'file-service-client/md5-worker',
  });
  return assets;
}

async function withEsbuild(page: string, outdir: string, entryPoints: Record<string, string>): Promise<void> {
  await buildWithEsbuild({
    absWorkingDir: page,
    bundle: true,
    format: 'esm',
    entryPoints,
    outdir,
    logLevel: 'silent',
  });
  const html = await readFile(join(page, 'index.html'), 'utf8');
  await writeFile(join(outdir, 'index.html'), html.replace('/page.ts', './page.js'));
}
