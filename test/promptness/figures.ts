import type { TestContext } from 'vitest';

/** The measurements of a case: a row of the table that `table.ts` prints. */
export interface Promptness {
  readonly name: string;
  readonly uploads: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

declare module 'vitest' {
  interface TaskMeta {
    promptness?: Promptness;
  }
}

/** Reports the delays of all uploads of a case for the table, and returns what the table shows of them. */
export function report({ task }: TestContext, name: string, delaysMs: readonly number[]): Promptness {
  const sorted = delaysMs.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
  const promptness = { name, uploads: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
  task.meta.promptness = promptness;
  return promptness;
}
