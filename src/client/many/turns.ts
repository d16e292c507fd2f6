import type { InTurn } from '../upload/transfer.ts';

/** Uploads of the same content run one after the other, so that the bytes are sent once. */
export function createTurns(): InTurn {
  const last = new Map<string, Promise<unknown>>();
  return async (content, run) => {
    const turn = (last.get(content) ?? Promise.resolve()).then(run, run);
    last.set(content, turn);
    try {
      return await turn;
    } finally {
      if (last.get(content) === turn) last.delete(content);
    }
  };
}
