import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');

/** Pronouns without a referent. A sentence with a subject says which program, caller or operator it is about. */
const PRONOUN = new RegExp(
  `\\b(${['who', 'some', 'no', 'every'].map((word) => `${word}(ever|body)`).join('|')})\\b`,
  'i',
);

/** A sentence of a comment that begins with a relative pronoun. */
const BEGINNING = /(\/\/|\*|\.) (Who(ever)?|Of what)\b/;

it.each(['src', 'test', 'proto', 'README.md'])('%s has no pronoun without a referent', async (part) => {
  const strange: string[] = [];
  for (const path of await textsIn(part)) {
    const lines = (await readFile(join(ROOT, path), 'utf8')).split('\n');
    lines.forEach((line, index) => {
      if (PRONOUN.test(line) || BEGINNING.test(line)) strange.push(`${path}:${index + 1}: ${line.trim()}`);
    });
  }
  expect(strange).toEqual([]);
});

async function textsIn(part: string): Promise<string[]> {
  if (part.endsWith('.md')) return [part];
  const entries = await readdir(join(ROOT, part), { recursive: true });
  return entries.filter((path) => /\.(ts|go|py|proto|md|sh)$/.test(path)).map((path) => join(part, path));
}
