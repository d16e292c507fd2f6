import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

/** The tables that runs write, and the documents in which they stand. */
export const MEASURED_TABLES = {
  bench: 'test/README.md',
  scale: 'test/README.md',
  upload: 'test/README.md',
  resilience: 'test/README.md',
  amplification: 'test/README.md',
  events: 'README.md',
} as const;
export type MeasuredTable = keyof typeof MEASURED_TABLES;

/** The origin of a table's figures: the day, the machine, and the version of Node. */
export function measuredOn(): string {
  return `${new Date().toISOString().slice(0, 10)}, ${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}`;
}

/** Writes a measured table between `<!-- name -->` and `<!-- /name -->`, so that no figure is typed by hand. */
export function writeReadmeTable(name: MeasuredTable, table: string): void {
  const path = join(ROOT, MEASURED_TABLES[name]);
  const text = readFileSync(path, 'utf8');
  const opening = `<!-- ${name} -->\n`;
  const [begin, end] = [text.indexOf(opening), text.indexOf(`<!-- /${name} -->`)];
  if (begin < 0 || end < begin)
    throw new Error(`${MEASURED_TABLES[name]} has no markers for the table ${name}`);
  writeFileSync(path, `${text.slice(0, begin + opening.length)}${table}\n${text.slice(end)}`);
}
