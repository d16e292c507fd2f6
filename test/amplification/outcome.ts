import type { TestContext } from 'vitest';

/** The measurements of a route, each for its worst message. */
export interface Amplification {
  readonly route: string;
  readonly block?: { readonly ms: number; readonly name: string };
  /** Heap bytes for each byte sent. */
  readonly held?: { readonly ratio: number; readonly name: string };
}

declare module 'vitest' {
  interface TaskMeta {
    /** A part of a row of the table that `table.ts` prints. */
    amplification?: Amplification;
  }
}

export function report({ task }: TestContext, amplification: Amplification): void {
  task.meta.amplification = amplification;
}
