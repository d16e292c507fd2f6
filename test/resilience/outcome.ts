import type { TestContext } from 'vitest';

declare module 'vitest' {
  interface TaskMeta {
    /** A row of the table that `npm run test:faults` prints: what happened, in words and in figures. */
    fault?: { outcome: string; figure: string };
  }
}

/** Writes a test's row of the table. Its case is the test's own name. */
export function report({ task }: TestContext, outcome: string, figure = ''): void {
  task.meta.fault = { outcome, figure };
}
