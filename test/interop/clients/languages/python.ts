import { join } from 'node:path';
import { run } from '../../command.ts';
import { cacheDirectory, type Missing, PREPARE } from '../../toolchain.ts';
import { type Language, UPPER_CASE } from '../language.ts';
import { installPython } from './python-environment.ts';

const REQUIREMENTS = join(import.meta.dirname, '../python/requirements.txt');
const ENVIRONMENT = cacheDirectory('python', REQUIREMENTS);
const PYTHON = join(ENVIRONMENT, 'bin/python');

export const python: Language = {
  name: 'python',
  codes: UPPER_CASE,
  environment: { PATH: join(ENVIRONMENT, 'bin'), PYTHONPATH: 'gen' },
  missing: missingPython,
  install: () => installPython(ENVIRONMENT, REQUIREMENTS),
  build: async (directory) => [PYTHON, join(directory, 'client.py')],
};

export async function missingPython(program = PYTHON): Promise<Missing> {
  const { code } = await run(program, ['-c', 'import grpc, grpc_tools.protoc, grpc_status.rpc_status']);
  return code === 0 ? undefined : `there is no Python environment with grpcio (${PREPARE})`;
}
