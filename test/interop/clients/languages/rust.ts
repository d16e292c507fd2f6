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
  async build(directory) {
    const program = join(directory, 'files-client');
    await copyFile(join(TARGET, 'debug/files-client'), program);
    // cargo takes each copy of the client for another package. Without `clean`, it would keep the output of every copy.
    await output('cargo', ['clean', '--quiet', '--package', 'files-client'], {
      cwd: directory,
      env: environmentOf(rust),
    });
    return [program];
  },
};
