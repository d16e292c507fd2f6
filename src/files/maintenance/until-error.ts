/** Longer errors are cut, so that an error of a server fits a line of the report. */
const ERROR_CHARACTERS_MAX = 300;

/** Yields the items of a list until reading them fails. Then the sequence ends, and the error is passed on. */
export async function* untilError<Item>(
  items: AsyncIterable<Item>,
  onError: (error: string) => void,
): AsyncGenerator<Item> {
  try {
    yield* items;
  } catch (error) {
    const [firstLine = ''] = String(error).split('\n', 1);
    onError(firstLine.slice(0, ERROR_CHARACTERS_MAX));
  }
}
