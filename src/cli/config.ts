import { SETTINGS } from '../config/config.ts';
import type { Terminal } from './terminal.ts';

/** The command `npm run config` prints every variable, its default and its meaning. */
export function printVariables(terminal: Terminal): void {
  for (const { variable, default: fallback, desc } of SETTINGS) {
    terminal.print(`${variable.padEnd(24)} ${String(fallback ?? '').padEnd(12)} ${desc}`);
  }
}
