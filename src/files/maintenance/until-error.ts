/** What of an error fits a line of a report. */
const ERROR_CHARACTERS_MAX = 300;

/** Yields the items of a list until reading them fails. Then the sequence ends, and the error is passed on. */
export async function* untilError<Item>(
  items: AsyncIterable<Item>,
  onError: (error: string) => void,
): AsyncGenerator<Item> {
  try {
    yield* items;
  } catch (error) {
    onError(String(error).slice(0, ERROR_CHARACTERS_MAX));
  }
}
