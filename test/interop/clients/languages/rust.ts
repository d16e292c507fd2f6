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
  // tonic names its own timeout so; a server's answer that comes before it is DeadlineExceeded.
  codes: { ...PASCAL_CASE, deadlineExceeded: 'Cancelled' },
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
  async build(directory) {
    const program = join(directory, 'files-client');
    await copyFile(join(TARGET, 'debug/files-client'), program);
    // Each copy of the client is a package of its own to cargo, which would keep every one.
    await output('cargo', ['clean', '--quiet', '--package', 'files-client'], {
      cwd: directory,
      env: environmentOf(rust),
    });
    return [program];
  },
};
