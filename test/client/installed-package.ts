/** The project of a caller: a directory in which the packed client is installed. */
import { execFile } from 'node:child_process';
import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { PROJECT } from '../harness/service-process.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../harness/temporary-directory.ts';

/**
 * The time limit of an installation. With npm's cache, which `npm ci` has filled, an installation takes seconds.
 * Without the cache, the time depends on the network.
 */
export const INSTALL_TIMEOUT_MS = 120_000;

/** @param packages further packages, in the versions of this project */
export async function installClient(...packages: string[]): Promise<TemporaryDirectory> {
  const project = await temporaryDirectory();
  const tarball = await packClient(project.path);
  const { devDependencies, dependencies } = JSON.parse(await readFile(join(PROJECT, 'package.json'), 'utf8'));
  const versions: Record<string, string> = { ...devDependencies, ...dependencies };
  await writeFile(join(project.path, 'package.json'), JSON.stringify({ type: 'module' }));
  const exact = packages.map((name) => `${name}@${versions[name]}`);
  const flags = ['--prefer-offline', '--no-audit', '--no-fund'];
  await runProgram('npm', ['install', ...flags, `./${tarball}`, ...exact], project.path);
  return project;
}

/** @returns the name of the tarball in that directory */
async function packClient(directory: string): Promise<string> {
  // Packed from a copy, so that the build output of packing does not stay in this checkout.
  const copy = join(directory, 'checkout');
  for (const name of ['gen', 'src/client', 'package.json', 'tsconfig.json']) {
    const filter = (source: string) => !source.includes('/.dist');
    await cp(join(PROJECT, name), join(copy, name), { recursive: true, filter });
  }
  await symlink(join(PROJECT, 'node_modules'), join(copy, 'node_modules'));
  const args = ['pack', '--silent', '--pack-destination', directory];
  const { stdout } = await runProgram('npm', args, join(copy, 'src/client'));
  return stdout.trim();
}

// npm runs on the first Node of the PATH, which must be the Node of this test.
const PATH = `${dirname(process.execPath)}${delimiter}${process.env.PATH}`;

export function runProgram(
  program: string,
  args: readonly string[],
  cwd: string,
  environment: Record<string, string> = {},
): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)(program, args, {
    cwd,
    env: { ...process.env, PATH, NO_COLOR: '1', ...environment },
  });
}
