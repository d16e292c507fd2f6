/** Brings the libraries of the Go and the Python client into caches outside the project; run once, or after a change. */
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
  // One that was left half-way would not be mended by installing into it.
  await rm(PYTHON_ENVIRONMENT, { recursive: true, force: true });
  await output('python3', ['-m', 'venv', PYTHON_ENVIRONMENT]);
  await output(PYTHON, ['-m', 'pip', 'install', '--quiet', '--requirement', PYTHON_REQUIREMENTS]);
}
