import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { output } from '../../command.ts';

/** Makes a virtual environment with these packages. */
export async function installPython(environment: string, requirements: string): Promise<void> {
  // An incomplete environment is removed first, because an installation into it would not repair it.
  await rm(environment, { recursive: true, force: true });
  await output('python3', ['-m', 'venv', environment]);
  const python = join(environment, 'bin/python');
  await output(python, ['-m', 'pip', 'install', '--quiet', '--requirement', requirements]);
}
