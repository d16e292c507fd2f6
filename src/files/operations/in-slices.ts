/**
 * The items of one slice take up to 10 ms. The most expensive items, wrong requests and names of combining marks, take
 * up to 0.1 ms each.
 */
const SLICE_ITEMS = 100;

/**
 * Maps items as `map` does. After each slice of the items, the event loop serves other calls, because 1,000 of the most
 * expensive items would block it for up to 100 ms.
 */
export async function mapInSlices<Item, Result>(
  items: readonly Item[],
  map: (item: Item, index: number) => Result,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const [index, item] of items.entries()) {
    if (index > 0 && index % SLICE_ITEMS === 0) await new Promise<void>((resolve) => setImmediate(resolve));
    results.push(map(item, index));
  }
  return results;
}
