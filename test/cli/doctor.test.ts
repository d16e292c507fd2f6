import { pino } from 'pino';
import { expect, it } from 'vitest';
import { runDoctor } from '../../src/cli/doctor.ts';
import { captureTerminal } from '../harness/captured-terminal.ts';

it.each([
  ['--what', "Unknown option '--what'"],
  ['--origin=app.example.com', '--origin must have the form https://HOST or https://HOST:PORT'],
  ['--origin=https://app.example.com/', '--origin must have the form https://HOST or https://HOST:PORT'],
])('npm run doctor refuses %s with its usage, before it reads a setting', async (argument, problem) => {
  const terminal = captureTerminal();
  const readConfig = () => {
    throw new Error('the settings are read');
  };
  const log = pino({ level: 'silent' });
  const code = await runDoctor([argument], readConfig, log, terminal, new AbortController().signal);
  expect({ code, stdout: terminal.stdout }).toEqual({ code: 2, stdout: '' });
  expect(terminal.stderr).toContain(problem);
  expect(terminal.stderr).toContain('usage: npm run doctor');
});
