import type { FoundSource } from '../upload/platform.ts';

/** The most items that are read ahead of the uploads. It limits the memory that the items take. */
const AHEAD_MAX = 10_000;

export interface Surveyed<Item, Body> {
  item: Item;
  found: FoundSource<Body>;
}

/** Reads the items ahead of the uploads and finds their sources, so that a progress bar soon has the totals. */
export function survey<Item, Body>(
  items: Iterable<Item> | AsyncIterable<Item>,
  find: (item: Item) => Promise<FoundSource<Body>>,
): ReadableStream<Surveyed<Item, Body>> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  return new ReadableStream<Surveyed<Item, Body>>(
    {
      async pull(controller) {
        const { done, value: item } = await iterator.next();
        if (done === true) return controller.close();
        try {
          controller.enqueue({ item, found: await find(item) });
        } catch (error) {
          // A stream that has failed is not cancelled later, so the iterator is closed here.
          await iterator.return?.();
          throw error;
        }
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: AHEAD_MAX },
  );
}
