import { join } from 'node:path';
import { launchService, PROJECT } from '../harness/service-process.ts';

export interface Result {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs `src/main.ts` with a command until it ends. */
export async function main(
  name: string,
  environment: Record<string, string> = {},
  args: readonly string[] = [],
): Promise<Result> {
  await using run = launchService({
    command: [process.execPath, join(PROJECT, 'src/main.ts'), name, ...args],
    environment,
  });
  const { code } = await run.untilGone();
  return { code, ...run.printed };
}
