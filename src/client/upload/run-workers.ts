/**
 * Runs `worker` `count` times at once. The first failure aborts the signal of the other workers. After all workers have
 * ended, this function throws the reason of `signal`, or else the first failure.
 */
export async function runWorkers(
  count: number,
  signal: AbortSignal,
  worker: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  await Promise.all(
    Array.from({ length: count }, () => worker(either).catch((error: unknown) => stop.abort(error))),
  );
  signal.throwIfAborted();
  stop.signal.throwIfAborted();
}
