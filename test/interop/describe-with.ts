import { describe, test } from 'vitest';
import type { Missing } from './toolchain.ts';

/** `npm test` asks for npm alone, so what is not there is skipped, and says so. In CI nothing is. */
export function describeWith(name: string, missing: Missing, define: () => void): void {
  switch (verdict(missing, process.env.CI)) {
    case 'run':
      describe(name, define);
      break;
    case 'skip':
      // The reporter prints the names of skipped tests only when asked to.
      process.stderr.write(`skipped: ${name}: ${missing}\n`);
      describe.skip(`${name} (skipped: ${missing})`, define);
      break;
    case 'fail':
      test(`${name}: its toolchain is there`, () => {
        throw new Error(`${missing}; with CI set, nothing is skipped`);
      });
  }
}

export function verdict(missing: Missing, ci: string | undefined): 'run' | 'skip' | 'fail' {
  if (missing === undefined) return 'run';
  return ci === undefined || ['', '0', 'false'].includes(ci) ? 'skip' : 'fail';
}
