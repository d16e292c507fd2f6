import { join } from 'node:path';
import { output } from '../../command.ts';
import { environmentOf } from '../build-client.ts';
import { type Language, UPPER_CASE } from '../language.ts';

/** Its packages are devDependencies of the project. */
export const typescript: Language = {
  name: 'typescript',
  codes: UPPER_CASE,
  environment: {},
  missing: async () => undefined,
  install: async () => {},
  async build(directory) {
    await output('tsc', [], { cwd: directory, env: environmentOf(typescript) });
    return [process.execPath, join(directory, 'dist/src/main.js')];
  },
};
