import type { Reporter, TestModule } from 'vitest/node';
import { LONG } from '../harness/long-form.ts';
import { measuredOn, writeReadmeTable } from '../harness/readme-table.ts';
import { modulesIn, passedAsAWhole } from '../harness/whole-folder.ts';
import type { Amplification } from './outcome.ts';

/**
 * Prints a row for each method and protocol with the figures of its worst message. After a complete run of
 * the long form that passed, this reporter writes the same table into test/README.md.
 */
export default class AmplificationTable implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const measured = modulesIn(import.meta.dirname, modules)
      .flatMap((module) => [...module.children.allTests()])
      .map((test) => test.meta().amplification)
      .filter((amplification) => amplification !== undefined);
    if (measured.length === 0) return;
    const table = [
      '| method, protocol | longest block, ms | of which message | heap bytes per byte sent | of which message |',
      '|---|---|---|---|---|',
      ...rowsOf(measured),
    ].join('\n');
    process.stdout.write(`\n${table}\n`);
    if (LONG && passedAsAWhole(import.meta.dirname, modules))
      writeReadmeTable('amplification', `Measured ${measuredOn()}.\n\n${table}`);
  }
}

/** Merges the measurements of a route, which come from two test files. */
function rowsOf(measured: readonly Amplification[]): string[] {
  const routes = new Map<string, Amplification>();
  for (const one of measured) routes.set(one.route, { ...routes.get(one.route), ...one });
  return [...routes.values()]
    .sort((a, b) => a.route.localeCompare(b.route))
    .map(({ route, block, held }) => {
      const cells = [route, block?.ms.toFixed(1), block?.name, held?.ratio.toFixed(1), held?.name];
      return `| ${cells.map((cell) => cell ?? '').join(' | ')} |`;
    });
}
