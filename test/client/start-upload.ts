import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { delimiter, dirname, join } from 'node:path';
import { newUser } from '../harness/random.ts';
import { dyingWithParent, PROJECT } from '../harness/service-process.ts';
import type { Fixture } from './fixture.ts';

export const COMMAND = [process.execPath, join(PROJECT, 'src/main.ts'), 'upload'];

export const INTERRUPTED = 'Interrupted. Run the same command again to continue.';

interface Started {
  child: ChildProcessWithoutNullStreams;
  printed: { stdout: string; stderr: string };
  /** Resolves when the process has ended and its output has arrived. */
  exit: Promise<{ code: number | null; stdout: string; stderr: string }>;
}

/** Starts a command in the directory of the fixture. */
export function startIn(
  { directory }: Fixture,
  command: readonly string[],
  environment: Record<string, string> = {},
): Started {
  const [program, ...args] = dyingWithParent(command);
  const { HOME } = process.env;
  const XDG_CACHE_HOME = join(directory, 'cache');
  const PATH = `${dirname(process.execPath)}${delimiter}${process.env.PATH}`;
  const child = spawn(program, args, {
    cwd: directory,
    env: { HOME, PATH, XDG_CACHE_HOME, ...environment },
  });
  const printed = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      printed[name] += text;
    });
  }
  const exit = once(child, 'close').then(([code]) => ({ code, ...printed }));
  return { child, printed, exit };
}

/** The options that name the service of the fixture. */
export function serviceOf({ service }: Fixture, user = newUser()): string[] {
  return ['--url', service.httpUrl, '--user', user];
}
