/**
 * The events that a consumer must receive, by the rules. They follow from the states of the model's files before and
 * after each step, so this file knows nothing of the statements that announce changes.
 */
import type { FileChange } from '../../src/files/ports/event-queue.ts';
import type { Model, ModelFile } from './model.ts';

/** A change that the consumer has not acknowledged. A newer change of the same file replaces it. */
export interface DueChange {
  change: FileChange;
  /** Different for each change of a run. */
  number: number;
}

export function createModelEvents(model: Model) {
  /** The files after the last step. A file that gets the key of another file is another object. */
  const known = new Map<ModelFile, { state: ModelFile['state']; mimeType: string }>();
  const due = new Map<string, DueChange>();
  let changes = 0;

  const announce = (key: string, change: FileChange) => due.set(key, { change, number: ++changes });

  function changeOf(file: ModelFile): FileChange | undefined {
    const before = known.get(file);
    if (file.state === 'ready') {
      return before?.state === 'ready' && before.mimeType === file.mimeType ? undefined : 'ready';
    }
    return before?.state === 'ready' ? 'lost' : undefined;
  }

  return {
    due,

    /** Compares the files with those after the last step. */
    observe(): void {
      for (const file of model.live) {
        const change = changeOf(file);
        if (change !== undefined) announce(file.key, change);
        known.set(file, { state: file.state, mimeType: file.mimeType });
      }
      for (const file of [...known.keys()].filter((each) => !model.live.has(each))) known.delete(file);
    },

    /** A user has deleted a file, or cancelled its upload. */
    deleted: (key: string) => announce(key, 'deleted'),

    /** The sweeper has ended a pending upload. Only the end of a lost file is announced. */
    expired(key: string, wasLost: boolean): void {
      if (wasLost) announce(key, 'expired');
      else if (due.has(key)) throw new Error(`${key} has expired before its event was delivered`);
    },

    /** The sweeper has removed a row. */
    purged(key: string): void {
      if (due.has(key)) throw new Error(`${key} was purged before its event was delivered`);
    },

    /** An operator has announced all READY files again. */
    replayed(): void {
      for (const { key, state } of model.live) if (state === 'ready') announce(key, 'ready');
    },

    /** The consumer has received a change and acknowledged it. A newer change stays due. */
    acknowledged(key: string, { number }: DueChange): void {
      if (due.get(key)?.number === number) due.delete(key);
    },
  };
}
