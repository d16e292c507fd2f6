/**
 * Works on items with several workers at the same time. Each worker takes the next item until none is left, and ends
 * at its first error. If every worker has ended at an error, no worker takes the remaining items.
 *
 * @returns the first failure, after all workers have ended; `undefined` if all items succeeded
 */
export async function inWorkers<Item>(
  workersMax: number,
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<PromiseRejectedResult | undefined> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  const workers = Array.from({ length: Math.min(workersMax, items.length) }, worker);
  return (await Promise.allSettled(workers)).find((ended) => ended.status === 'rejected');
}
