import type { InTurn } from '../upload/transfer.ts';

/**
 * Runs uploads of the same content one after the other. The first upload sends the bytes, and the others find its file
 * in the service.
 */
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
