interface Keyed {
  s3Key: string;
}

/**
 * Merges two sequences that are in ascending order of their keys. Two items with the same key are yielded
 * together. Only one item of each sequence is in memory.
 *
 * Postgres (collation "C") and S3 sort keys by bytes, and JavaScript compares strings by UTF-16 units. If one of two
 * keys is ASCII, both orders agree. In `reconcile`, `lefts` are rows, whose keys are ASCII, so the comparisons here
 * agree with both orders.
 */
export async function* mergeByKey<Left extends Keyed, Right extends Keyed>(
  lefts: AsyncIterable<Left>,
  rights: AsyncIterable<Right>,
): AsyncGenerator<{ left?: Left | undefined; right?: Right | undefined }> {
  const leftItems = lefts[Symbol.asyncIterator]();
  const rightItems = rights[Symbol.asyncIterator]();
  try {
    let left = await next(leftItems);
    let right = await next(rightItems);
    while (left !== undefined || right !== undefined) {
      if (right === undefined || (left !== undefined && left.s3Key < right.s3Key)) {
        yield { left };
        left = await next(leftItems);
      } else if (left === undefined || right.s3Key < left.s3Key) {
        yield { right };
        right = await next(rightItems);
      } else {
        yield { left, right };
        left = await next(leftItems);
        right = await next(rightItems);
      }
    }
  } finally {
    // If the consumer stops early or a source fails, both sources are closed, so that they can release their
    // resources.
    await Promise.all([leftItems.return?.(), rightItems.return?.()]);
  }
}

async function next<Item>(items: AsyncIterator<Item>): Promise<Item | undefined> {
  const step: IteratorResult<Item> = await items.next();
  return step.done ? undefined : step.value;
}
