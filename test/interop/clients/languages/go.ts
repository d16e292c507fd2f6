import { join } from 'node:path';
import { output, run } from '../../command.ts';
import { type Missing, PREPARE } from '../../toolchain.ts';
import { environmentOf } from '../build-client.ts';
import { type Language, PASCAL_CASE } from '../language.ts';

const CLIENT = join(import.meta.dirname, '../go');

export const go: Language = {
  name: 'go',
  codes: PASCAL_CASE,
  // Go must not download anything during a test: neither a module nor another version of Go.
  environment: { GOPROXY: 'off', GOTOOLCHAIN: 'local', GOWORK: 'off' },
  missing: missingGo,
  async install() {
    await output('go', ['mod', 'download'], { cwd: CLIENT });
  },
  async build(directory) {
    const options = { cwd: directory, env: environmentOf(go) };
    await output('go', ['vet', '.'], options);
    await output('go', ['build', '-o', 'files-client', '.'], options);
    return [join(directory, 'files-client')];
  },
};

/** @param cache another module cache than the default of Go */
export async function missingGo(cache?: string): Promise<Missing> {
  const env = { ...environmentOf(go), ...(cache === undefined ? {} : { GOMODCACHE: cache }) };
  const { code, stderr } = await run('go', ['mod', 'download'], { cwd: CLIENT, env });
  if (code === undefined) return 'there is no go on the PATH';
  if (code === 0) return undefined;
  return `go cannot build the client, because modules are missing (${PREPARE}): ${stderr.split('\n', 1)[0]}`;
}
