import type { Reporter, TestCase, TestModule } from 'vitest/node';
import { LONG } from '../harness/long-form.ts';
import { measuredOn, writeReadmeTable } from '../harness/readme-table.ts';
import { modulesIn, passedAsAWhole } from '../harness/whole-folder.ts';

/**
 * Prints a row for each test: its title, its outcome and its figure. After a complete run of the long form
 * that passed, this reporter writes the same table into test/README.md.
 */
export default class ResilienceTable implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const cases = modulesIn(import.meta.dirname, modules).flatMap((module) => [
      ...module.children.allTests(),
    ]);
    const rows = cases.map(rowOf).filter((row) => row !== undefined);
    if (rows.length === 0) return;
    const table = ['| case | outcome | figure |', '|---|---|---|', ...rows].join('\n');
    process.stdout.write(`\n${table}\n`);

    if (LONG && passedAsAWhole(import.meta.dirname, modules))
      writeReadmeTable('resilience', `Measured ${measuredOn()}.\n\n${table}`);
  }
}

function rowOf(test: TestCase): string | undefined {
  const { resilience } = test.meta();
  const { state } = test.result();
  if (resilience === undefined && state !== 'failed') return undefined;
  const outcome = state === 'failed' ? 'FAILED' : resilience?.outcome;
  return `| ${test.name} | ${outcome} | ${resilience?.figure ?? ''} |`;
}
