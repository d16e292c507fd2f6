interface Keyed {
  s3Key: string;
}

/**
 * Two sequences in ascending order of their keys, as one: what has the same key
 * comes together. Holds one item of each.
 *
 * Keys are compared as JavaScript compares them, which for the ASCII of this
 * service's keys is the order of their bytes, as in Postgres ("C") and in S3.
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
    // Whatever ends early, both sources get to close what they hold.
    await Promise.all([leftItems.return?.(), rightItems.return?.()]);
  }
}

async function next<Item>(items: AsyncIterator<Item>): Promise<Item | undefined> {
  const step: IteratorResult<Item> = await items.next();
  return step.done ? undefined : step.value;
}
