import type { Reporter, TestModule } from 'vitest/node';
import { LONG } from '../harness/long-form.ts';
import { measuredOn, writeReadmeTable } from '../harness/readme-table.ts';
import { modulesIn, passedAsAWhole } from '../harness/whole-folder.ts';
import type { Promptness } from './figures.ts';

/**
 * Prints how long events take. After a run of the long form that passed, this reporter writes the same table into
 * proto/EVENTS.md.
 */
export default class PromptnessTable implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const rows = modulesIn(import.meta.dirname, modules)
      .flatMap((module) => [...module.children.allTests()])
      .map((test) => test.meta().promptness)
      .filter((promptness) => promptness !== undefined)
      .map(rowOf);
    if (rows.length === 0) return;
    const table = [
      '| from a PUT to its READY event, which the consumer has acknowledged | uploads | p50 ms | p99 ms | longest ms |',
      '|---|---|---|---|---|',
      ...rows,
    ].join('\n');
    process.stdout.write(`\n${table}\n`);
    if (LONG && passedAsAWhole(import.meta.dirname, modules))
      writeReadmeTable('events', `${measuredOn()}; Ceph RGW 16.2, all on one machine.\n\n${table}`);
  }
}

function rowOf({ name, uploads, p50Ms, p99Ms, maxMs }: Promptness): string {
  return `| ${[name, uploads, ...[p50Ms, p99Ms, maxMs].map((ms) => ms.toFixed(0))].join(' | ')} |`;
}
