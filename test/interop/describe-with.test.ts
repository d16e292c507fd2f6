import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { missingGo } from './clients/languages/go.ts';
import { missingPython } from './clients/languages/python.ts';
import { verdict } from './describe-with.ts';
import { missingPrograms } from './toolchain.ts';

test('a suite runs when its toolchain is installed', () => {
  expect(verdict(undefined, undefined)).toBe('run');
  expect(verdict(undefined, 'true')).toBe('run');
});

test.each([undefined, '', '0', 'false'])('a suite without its toolchain is skipped with CI=%s', (ci) => {
  expect(verdict('it is not there', ci)).toBe('skip');
});

test.each(['true', '1', 'yes'])('a suite without its toolchain fails with CI=%s', (ci) => {
  expect(verdict('it is not there', ci)).toBe('fail');
});

test('missingPrograms names a program that is not on the PATH', async () => {
  expect(await missingPrograms('node', 'no-such-program')).toBe('there is no no-such-program on the PATH');
});

test('Go without the modules and Python without the packages count as missing', async () => {
  await using empty = await temporaryDirectory();
  expect(await missingGo(empty.path)).toMatch(/there is no go|cannot build/);
  expect(await missingPython(join(empty.path, 'bin/python'))).toContain('no Python environment');
});
