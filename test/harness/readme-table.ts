import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';

const TEST_README = join(import.meta.dirname, '../README.md');

/** The tables of test/README.md that runs write. */
export const MEASURED_TABLES = ['bench', 'scale', 'upload', 'resilience', 'amplification'] as const;
export type MeasuredTable = (typeof MEASURED_TABLES)[number];

/** The origin of a table's figures: the day, the machine, and the version of Node. */
export function measuredOn(): string {
  return `${new Date().toISOString().slice(0, 10)}, ${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}`;
}

/** Writes a measured table between `<!-- name -->` and `<!-- /name -->`, so that no figure is typed by hand. */
export function writeReadmeTable(name: MeasuredTable, table: string): void {
  const text = readFileSync(TEST_README, 'utf8');
  const opening = `<!-- ${name} -->\n`;
  const [begin, end] = [text.indexOf(opening), text.indexOf(`<!-- /${name} -->`)];
  if (begin < 0 || end < begin) throw new Error(`test/README.md has no markers for the table ${name}`);
  writeFileSync(TEST_README, `${text.slice(0, begin + opening.length)}${table}\n${text.slice(end)}`);
}
