/** The most items that are read ahead of the uploads. It limits the memory that the items take. */
const AHEAD_MAX = 10_000;

export interface Surveyed<Item> {
  item: Item;
  sizeBytes: number;
}

/** Reads the items ahead of the uploads and finds their sizes, so that a progress bar soon has the totals. */
export function survey<Item>(
  items: Iterable<Item> | AsyncIterable<Item>,
  sizeOf: (item: Item) => Promise<number>,
): ReadableStream<Surveyed<Item>> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  return new ReadableStream<Surveyed<Item>>(
    {
      async pull(controller) {
        const { done, value: item } = await iterator.next();
        if (done === true) return controller.close();
        controller.enqueue({ item, sizeBytes: await sizeOf(item) });
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: AHEAD_MAX },
  );
}
