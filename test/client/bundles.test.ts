import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { build as buildWithVite } from 'vite';
import { beforeAll, describe, expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { downloaded, openFixture, PART_BYTES, sha256 } from './fixture.ts';
import { INSTALL_TIMEOUT_MS, installClient, runProgram } from './installed-package.ts';

/** Each bundler puts the program and all its packages into one file. The client's worker is not in that file. */
const BUNDLERS: Record<string, (entry: string, folder: string) => Promise<string>> = {
  'esbuild as ESM': async (entry, folder) => {
    const outfile = join(folder, 'bundle.mjs');
    await build({ ...ESBUILD, entryPoints: [entry], outfile, format: 'esm' });
    return outfile;
  },
  'esbuild as CommonJS': async (entry, folder) => {
    const outfile = join(folder, 'bundle.cjs');
    await build({ ...ESBUILD, entryPoints: [entry], outfile, format: 'cjs' });
    return outfile;
  },
  Vite: async (entry, folder) => {
    const outDir = join(folder, 'vite');
    await buildWithVite({
      configFile: false,
      logLevel: 'silent',
      root: folder,
      build: { ssr: entry, outDir },
      ssr: { noExternal: true },
    });
    return join(outDir, 'upload.js');
  },
};
const ESBUILD = { bundle: true, platform: 'node', logLevel: 'silent' } as const;

describe('the client in a bundle', () => {
  const fixture = forAllTests(() => openFixture());
  const project = forAllTests(() => installClient('@connectrpc/connect-node'), INSTALL_TIMEOUT_MS);
  beforeAll(() => copyFile(join(import.meta.dirname, 'runtimes/upload.js'), join(project.path, 'upload.js')));

  it.each(Object.entries(BUNDLERS))('made by %s hashes without its worker', async (_, bundle) => {
    const program = await bundle(join(project.path, 'upload.js'), project.path);
    const user = newUser();
    const path = await fixture.file('film.mp4', 2 * PART_BYTES + 1);
    const options = JSON.stringify({ multipartFromBytes: 1 });
    const args = [program, fixture.service.httpUrl, user, path, options];
    const { stdout } = await runProgram(process.execPath, args, fixture.directory);
    const { s3Key, ...sent } = JSON.parse(stdout);
    expect(sent).toEqual({ existing: false, bytesSent: 2 * PART_BYTES + 1 });
    expect(sha256(await downloaded(fixture.service.as(user), s3Key))).toBe(sha256(await readFile(path)));
  });
});
