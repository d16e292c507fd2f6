import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';

const README = join(import.meta.dirname, '../../README.md');

/** Whose figures they are: the day, the machine, the Node. */
export function measuredOn(): string {
  return `${new Date().toISOString().slice(0, 10)}, ${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}`;
}

/** Writes what a run has measured between `<!-- name -->` and `<!-- /name -->`, so that no figure is typed by hand. */
export function writeReadmeTable(name: string, table: string): void {
  const text = readFileSync(README, 'utf8');
  const opening = `<!-- ${name} -->\n`;
  const [begin, end] = [text.indexOf(opening), text.indexOf(`<!-- /${name} -->`)];
  if (begin < 0 || end < begin) throw new Error(`README.md has no place for the table of ${name}`);
  writeFileSync(README, `${text.slice(0, begin + opening.length)}${table}\n${text.slice(end)}`);
}
