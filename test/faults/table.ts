import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { Reporter, TestCase, TestModule } from 'vitest/node';
import { LONG } from './outcome.ts';

const README = join(import.meta.dirname, '../../README.md');
const MARKERS = ['<!-- faults -->\n', '<!-- /faults -->'] as const;

/**
 * Prints a row for each case: what it was put through, what came of it, and the
 * figure. After a long form that passed as a whole, the README has the same table.
 */
export default class FaultTable implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const cases = modules.flatMap((module) => [...module.children.allTests()]);
    const rows = cases.map(rowOf).filter((row) => row !== undefined);
    if (rows.length === 0) return;
    const table = ['| case | outcome | figure |', '|---|---|---|', ...rows].join('\n');
    process.stdout.write(`\n${table}\n`);

    const all = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.test.ts'));
    const whole = modules.length === all.length && modules.every((module) => module.ok());
    if (LONG && whole) writeReadme(table);
  }
}

function rowOf(test: TestCase): string | undefined {
  const { fault } = test.meta();
  const { state } = test.result();
  if (fault === undefined && state !== 'failed') return undefined;
  const outcome = state === 'failed' ? 'FAILED' : fault?.outcome;
  return `| ${test.name} | ${outcome} | ${fault?.figure ?? ''} |`;
}

function writeReadme(table: string): void {
  const text = readFileSync(README, 'utf8');
  const [begin, end] = MARKERS.map((marker) => text.indexOf(marker));
  if (begin === undefined || end === undefined || begin < 0 || end < begin) {
    throw new Error(`README.md has no ${MARKERS.join('…')}`);
  }
  const measured = `${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}.`;
  writeFileSync(
    README,
    `${text.slice(0, begin + MARKERS[0].length)}Measured ${measured}\n\n${table}\n${text.slice(end)}`,
  );
}
