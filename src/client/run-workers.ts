/**
 * Runs a lane as often at once. The first that fails stops the others, by their signal, and is what is thrown; whatever
 * way it ends, nothing of it runs any more then.
 */
export async function runWorkers(
  count: number,
  signal: AbortSignal,
  lane: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  await Promise.all(
    Array.from({ length: count }, () => lane(either).catch((error: unknown) => stop.abort(error))),
  );
  signal.throwIfAborted();
  stop.signal.throwIfAborted();
}
