/**
 * Installs the libraries of the Go and Python clients into caches outside the project. Run it once, and after
 * each change of their versions.
 */
import { rm } from 'node:fs/promises';
import { output } from './command.ts';
import {
  GO_CLIENT,
  missingGo,
  missingPython,
  PYTHON,
  PYTHON_ENVIRONMENT,
  PYTHON_REQUIREMENTS,
} from './toolchain.ts';

if ((await missingGo()) !== undefined) await output('go', ['mod', 'download'], { cwd: GO_CLIENT });

if ((await missingPython()) !== undefined) {
  // An incomplete environment is removed first, because an installation into it would not repair it.
  await rm(PYTHON_ENVIRONMENT, { recursive: true, force: true });
  await output('python3', ['-m', 'venv', PYTHON_ENVIRONMENT]);
  await output(PYTHON, ['-m', 'pip', 'install', '--quiet', '--requirement', PYTHON_REQUIREMENTS]);
}
