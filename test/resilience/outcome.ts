import type { TestContext } from 'vitest';

declare module 'vitest' {
  interface TaskMeta {
    /**
     * A row of the table that the long form of the resilience tests prints: what happened, in words and in
     * figures.
     */
    resilience?: { outcome: string; figure: string };
  }
}

/** Adds a row for the test to the table. The first column is the title of the test. */
export function report({ task }: TestContext, outcome: string, figure = ''): void {
  task.meta.resilience = { outcome, figure };
}
