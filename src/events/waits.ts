/** The waits of a loop that can be woken, and stopped. */
export interface Waits {
  readonly stopped: boolean;
  /**
   * Waits until this time by `performance.now()`, or until `isOver`, which is asked whenever the loop is woken. Ends at
   * once when the loop is stopped.
   */
  until(timeMs: number, isOver?: () => boolean): Promise<void>;
  wake(): void;
  stop(): void;
}

export function createWaits(): Waits {
  let stopped = false;
  let end = () => {};

  async function wait(milliseconds: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds).unref();
    end = resolve;
    await promise;
    clearTimeout(timer);
  }

  return {
    get stopped() {
      return stopped;
    },
    async until(timeMs, isOver = () => false) {
      let leftMs = timeMs - performance.now();
      while (leftMs > 0 && !stopped && !isOver()) {
        await wait(leftMs);
        leftMs = timeMs - performance.now();
      }
    },
    wake: () => end(),
    stop() {
      stopped = true;
      end();
    },
  };
}
