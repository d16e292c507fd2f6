import { ConfigError } from './config-error.ts';
import type { Setting, Values } from './setting.ts';

/** Tables of settings by their subjects. */
type Tables = Record<string, Record<string, Setting>>;

export type ValuesOfTables<Tabled extends Tables> = { [Name in keyof Tabled]: Values<Tabled[Name]> };

export function settingsOf(tables: Tables): readonly Setting[] {
  return Object.values(tables).flatMap((table) => Object.values(table));
}

/**
 * Reads the variables of these tables, and no others. An empty value counts as unset.
 *
 * @param problemsBetween the rules between settings. They may assume that each value is valid in itself.
 * @throws ConfigError that names every problem
 */
export function readTables<Tabled extends Tables>(
  tables: Tabled,
  environment: Record<string, string | undefined>,
  problemsBetween: (values: ValuesOfTables<Tabled>) => Iterable<string>,
): ValuesOfTables<Tabled> {
  const problems = settingsOf(tables).flatMap(({ variable, problem }) => {
    const found = environment[variable] ? problem(environment[variable]) : undefined;
    return found === undefined ? [] : [`${variable} ${found}`];
  });
  if (problems.length > 0) throw new ConfigError(problems);
  const values = Object.fromEntries(
    Object.entries(tables).map(([name, table]) => [name, valuesOf(table, environment)]),
  ) as ValuesOfTables<Tabled>;
  problems.push(...problemsBetween(values));
  if (problems.length > 0) throw new ConfigError(problems);
  return values;
}

function valuesOf(table: Record<string, Setting>, environment: Record<string, string | undefined>) {
  const read = (setting: Setting) => {
    const text = environment[setting.variable];
    return text ? setting.value(text) : setting.default;
  };
  return Object.fromEntries(Object.entries(table).map(([key, setting]) => [key, read(setting)]));
}
