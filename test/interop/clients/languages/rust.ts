import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { output } from '../../command.ts';
import { cacheDirectory, missingPrograms, PREPARE } from '../../toolchain.ts';
import { buildClient, environmentOf, INSTALL_TIMEOUT_MS } from '../build-client.ts';
import { type Language, PASCAL_CASE } from '../language.ts';
import { complete, isComplete } from './complete.ts';

const CLIENT = join(import.meta.dirname, '../rust');

/** The compiled libraries. Their first build takes a minute. */
const TARGET = cacheDirectory('rust', join(CLIENT, 'Cargo.toml'), join(CLIENT, 'Cargo.lock'));

export const rust: Language = {
  name: 'rust',
  // At the deadline, tonic itself reports Cancelled, unless the server's DeadlineExceeded has arrived before.
  codes: { ...PASCAL_CASE, deadlineExceeded: ['Cancelled', 'DeadlineExceeded'] },
  environment: { CARGO_TARGET_DIR: TARGET, CARGO_NET_OFFLINE: 'true' },
  async missing() {
    const missing = await missingPrograms('cargo');
    if (missing !== undefined) return missing;
    return (await isComplete(TARGET)) ? undefined : `the libraries of the client are not built (${PREPARE})`;
  },
  install: () =>
    complete(TARGET, async () => {
      await using _ = await buildClient(
        { ...rust, environment: { CARGO_TARGET_DIR: TARGET } },
        INSTALL_TIMEOUT_MS,
      );
    }),
  build: async (directory) => [await takeProgram(directory, 'files-client')],
};

/**
 * Moves the program of a crate from the folder that all crates share into the directory of the crate.
 * @returns its path
 */
export async function takeProgram(directory: string, crate: string): Promise<string> {
  const program = join(directory, crate);
  await copyFile(join(TARGET, 'debug', crate), program);
  // cargo takes each copy of a crate for another package. Without `clean`, it would keep the output of every copy.
  await output('cargo', ['clean', '--quiet', '--package', crate], {
    cwd: directory,
    env: environmentOf(rust),
  });
  return program;
}
