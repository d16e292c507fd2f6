/** Builds the clients as their users do: with the lines of proto/CLIENTS.md, as they stand. */
import { cp, readFile, symlink } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { bashScript } from '../../harness/bash-script.ts';
import { PROJECT } from '../../harness/service-process.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';
import { output } from '../command.ts';
import type { Language } from './language.ts';

/** The slowest build, the first one of a client in Go, takes 15 s on two idle cores, and more in a test run. */
export const BUILD_TIMEOUT_MS = 140_000;

/** The time limit of each command of an installation: enough for downloads and for the first build of all libraries. */
export const INSTALL_TIMEOUT_MS = 600_000;

export interface Client extends AsyncDisposable {
  /** The program and its first arguments. The disposal removes the program. */
  readonly command: readonly [string, ...string[]];
  /** Where the program runs, and with which variables. */
  readonly options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv };
  /** Runs the program and returns its output. */
  run(...words: string[]): Promise<string>;
}

/** The folder with the client in this language. */
export function clientFolder({ name }: Language): string {
  return join(import.meta.dirname, name);
}

/** @param timeoutMs the time limit of each command */
export function buildClient(language: Language, timeoutMs?: number): Promise<Client> {
  const copySources = (directory: string) => cp(clientFolder(language), directory, { recursive: true });
  return buildProject(language, copySources, timeoutMs);
}

/**
 * Builds a project in a temporary directory.
 *
 * @param copySources copies everything but `proto` into the directory
 * @param timeoutMs the time limit of each command
 */
export async function buildProject(
  language: Language,
  copySources: (directory: string) => Promise<void>,
  timeoutMs = BUILD_TIMEOUT_MS,
): Promise<Client> {
  await using building = new AsyncDisposableStack();
  const { path: directory } = building.use(await temporaryDirectory());
  await copySources(directory);
  await cp(join(PROJECT, 'proto'), join(directory, 'proto'), { recursive: true });
  await symlink(join(PROJECT, 'node_modules'), join(directory, 'node_modules'));
  await language.configure?.(directory);

  const env = environmentOf(language);
  for (const lines of await generatingLines(language.name)) {
    await output('bash', bashScript(`set -e\n${lines}`), { cwd: directory, env, timeout: timeoutMs });
  }
  const command = await language.build(directory);
  const built = building.move();
  const options = { cwd: directory, env };
  return {
    command,
    options,
    run: (...words) => output(command[0], [...command.slice(1), ...words], options),
    [Symbol.asyncDispose]: () => built.disposeAsync(),
  };
}

export function environmentOf({ environment }: Language): NodeJS.ProcessEnv {
  const PATH = [environment.PATH, join(PROJECT, 'node_modules/.bin'), process.env.PATH];
  return { ...process.env, ...environment, PATH: PATH.filter(Boolean).join(delimiter) };
}

async function generatingLines(name: string): Promise<string[]> {
  const document = await readFile(join(PROJECT, 'proto/CLIENTS.md'), 'utf8');
  const blocks = document.matchAll(/<!-- generate: (\w+) -->\n```bash\n([\s\S]*?)```/g);
  const lines = [...blocks].filter(([, about]) => about === name).map(([, , code = '']) => code);
  if (lines.length === 0) throw new Error(`proto/CLIENTS.md has no lines for ${name}`);
  return lines;
}
