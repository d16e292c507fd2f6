import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Forms } from '../../src/postgres/statements/forms.ts';
import type { Prepared } from '../../src/postgres/statements/prepared.ts';

type AnyStatement = Prepared<never, unknown> | Forms<never, unknown>;

const STATEMENTS = join(import.meta.dirname, '../../src/postgres/statements');

/** The folder of the statements about events. A service without events runs `dropEvents` alone, and expects that it may fail. */
const ABOUT_EVENTS = 'events';

/** `begin … update files set`: the assignments of a statement, without its conditions. */
const ASSIGNS_STATE = /\bset\b(?:(?!\b(?:where|from)\b)[\s\S])*\bstate = '(?:pending|ready|deleted)'/;
const CREATES_OR_REMOVES = /\b(?:insert into|delete from) files\b/;

async function statementsIn(files: string[]): Promise<AnyStatement[]> {
  const modules: Record<string, unknown>[] = await Promise.all(
    files.map((file) => import(join(STATEMENTS, file))),
  );
  return modules.flatMap((module) => Object.values(module)).filter(isStatement);
}

function isStatement(value: unknown): value is AnyStatement {
  return typeof value === 'object' && value !== null && ('text' in value || 'silent' in value);
}

const others = (await readdir(STATEMENTS)).filter((file) => file !== ABOUT_EVENTS);
const statements = await statementsIn(others);
const single = statements.flatMap((statement) => ('silent' in statement ? [] : [statement]));
const double = statements.flatMap((statement) => ('silent' in statement ? [statement] : []));

it('every statement that changes the state of a file, or creates or removes a row, has two forms', () => {
  const changes = ({ text }: Prepared<never, unknown>) =>
    ASSIGNS_STATE.test(text) || CREATES_OR_REMOVES.test(text);
  expect(single.filter(changes).map(({ name }) => name)).toEqual([]);
  const changing = double.filter(({ silent }) => changes(silent)).map(({ silent }) => silent.name);
  expect(changing.sort()).toEqual([
    'adopt',
    'create_many',
    'expire_upload',
    'mark_deleted',
    'mark_lost',
    'mark_ready',
    'mark_ready_many',
    'purge',
    'reserve',
  ]);
});

it('every statement of a service without events works on a table without the columns of migration 0003', () => {
  const silent = [...single, ...double.map((forms) => forms.silent)];
  const later = silent.filter(({ text }) => /\b(revision|event_due_at|event_attempts)\b/.test(text));
  expect(silent.length).toBeGreaterThan(30);
  expect(later.map(({ name }) => name)).toEqual([]);
});

it('the announced form of every change of a READY file or to a READY file makes its event due', () => {
  const announced = double.filter(({ announced }) => /event_due_at( =|,|\))/.test(announced.text));
  expect(announced.map(({ silent }) => silent.name).sort()).toEqual([
    'adopt',
    'expire_upload',
    'mark_deleted',
    'mark_lost',
    'mark_ready',
    'mark_ready_many',
    'schema_check',
  ]);
});
