import { describe, test } from 'vitest';
import type { Missing } from './toolchain.ts';

/**
 * `npm test` needs only npm: a suite whose tool is missing is skipped, with a message. In CI such a suite
 * fails.
 */
export function describeWith(name: string, missing: Missing, define: () => void): void {
  switch (verdict(missing, process.env.CI)) {
    case 'run':
      describe(name, define);
      break;
    case 'skip':
      // By default the reporter does not print the names of skipped tests.
      process.stderr.write(`skipped: ${name}: ${missing}\n`);
      describe.skip(`${name} (skipped: ${missing})`, define);
      break;
    case 'fail':
      test(`${name}: its toolchain is installed`, () => {
        throw new Error(`${missing}. With CI set, no suite is skipped.`);
      });
  }
}

export function verdict(missing: Missing, ci: string | undefined): 'run' | 'skip' | 'fail' {
  if (missing === undefined) return 'run';
  return ci === undefined || ['', '0', 'false'].includes(ci) ? 'skip' : 'fail';
}
