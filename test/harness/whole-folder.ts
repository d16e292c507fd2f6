import { readdirSync } from 'node:fs';
import { sep } from 'node:path';
import type { TestModule } from 'vitest/node';

/** The test files of a run that are in this folder or in a folder of it. */
export function modulesIn(directory: string, modules: readonly TestModule[]): readonly TestModule[] {
  return modules.filter(({ moduleId }) => moduleId.startsWith(directory + sep));
}

/** True when a run included every test file of the folder and all of them passed. */
export function passedAsAWhole(directory: string, modules: readonly TestModule[]): boolean {
  const all = readdirSync(directory, { encoding: 'utf8', recursive: true }).filter((name) =>
    name.endsWith('.test.ts'),
  );
  const run = modulesIn(directory, modules);
  return run.length === all.length && run.every((module) => module.ok());
}
