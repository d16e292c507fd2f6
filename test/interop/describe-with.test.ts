import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { verdict } from './describe-with.ts';
import { missingGo, missingPrograms, missingPython } from './toolchain.ts';

test('a toolchain that is there is used', () => {
  expect(verdict(undefined, undefined)).toBe('run');
  expect(verdict(undefined, 'true')).toBe('run');
});

test.each([undefined, '', '0', 'false'])('one that is missing is skipped with CI=%s', (ci) => {
  expect(verdict('it is not there', ci)).toBe('skip');
});

test.each(['true', '1', 'yes'])('one that is missing fails with CI=%s', (ci) => {
  expect(verdict('it is not there', ci)).toBe('fail');
});

test('a program that is not on the PATH is missing', async () => {
  expect(await missingPrograms('node', 'no-such-program')).toBe('there is no no-such-program on the PATH');
});

test('Go without the modules, and Python without the packages, are missing', async () => {
  await using empty = await temporaryDirectory();
  expect(await missingGo(empty.path)).toMatch(/there is no go|cannot build/);
  expect(await missingPython(join(empty.path, 'bin/python'))).toContain('no Python environment');
});
