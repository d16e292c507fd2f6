/**
 * Installs the libraries of the Go and Python clients, and the S3 server moto, into caches outside the project. Run it
 * once, and after each change of their versions.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { findMoto, MOTO_ENVIRONMENT, MOTO_REQUIREMENTS } from '../servers/moto.ts';
import { output } from './command.ts';
import { GO_CLIENT, missingGo, missingPython, PYTHON_ENVIRONMENT, PYTHON_REQUIREMENTS } from './toolchain.ts';

if ((await missingGo()) !== undefined) await output('go', ['mod', 'download'], { cwd: GO_CLIENT });
if ((await missingPython()) !== undefined) await installPython(PYTHON_ENVIRONMENT, PYTHON_REQUIREMENTS);
if ((await findMoto()) === undefined) await installPython(MOTO_ENVIRONMENT, MOTO_REQUIREMENTS);

async function installPython(environment: string, requirements: string): Promise<void> {
  // An incomplete environment is removed first, because an installation into it would not repair it.
  await rm(environment, { recursive: true, force: true });
  await output('python3', ['-m', 'venv', environment]);
  const python = join(environment, 'bin/python');
  await output(python, ['-m', 'pip', 'install', '--quiet', '--requirement', requirements]);
}
