import { expect, it } from 'vitest';
import { asksForHelp } from '../../src/cli/usage.ts';

it.each([
  [['--help'], true],
  [['-h'], true],
  [['--repair', '-h'], true],
  [['--repair'], false],
  [[], false],
])('%j asks for help: %s', (args, expected) => {
  expect(asksForHelp(args)).toBe(expected);
});
