/** Lets work run while the sum of the weights of the running work is at most `capacity`. First come, first served. */
export interface Gate {
  /**
   * Resolves when there is room. The returned function frees the room, and must be called once.
   *
   * @param weight a weight above the capacity counts as the capacity
   * @throws the reason of the signal
   */
  enter(weight: number, signal: AbortSignal): Promise<() => void>;
}

export function createGate(capacity: number): Gate {
  let free = capacity;
  const queue = new Set<{ weight: number; admit: () => void }>();
  const admitNext = (): void => {
    for (const waiting of queue) {
      if (waiting.weight > free) return;
      queue.delete(waiting);
      free -= waiting.weight;
      waiting.admit();
    }
  };
  return {
    enter(asked, signal) {
      const weight = Math.min(asked, capacity);
      const leave = () => {
        free += weight;
        admitNext();
      };
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        // Most callers need not wait, and then they need no listener at the signal, which costs more than the rest.
        if (queue.size === 0 && weight <= free) {
          free -= weight;
          return resolve(leave);
        }
        const abort = () => {
          queue.delete(waiting);
          reject(signal.reason);
          // The caller that waits behind this one may need less room.
          admitNext();
        };
        const waiting = {
          weight,
          admit: () => {
            signal.removeEventListener('abort', abort);
            resolve(leave);
          },
        };
        signal.addEventListener('abort', abort, { once: true });
        queue.add(waiting);
        admitNext();
      });
    },
  };
}
