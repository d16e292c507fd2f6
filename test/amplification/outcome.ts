import type { TestContext } from 'vitest';

/** What a test has measured of one route, each by its worst case. */
export interface Amplification {
  readonly route: string;
  readonly block?: { readonly ms: number; readonly name: string };
  /** Heap bytes per byte on the wire. */
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
