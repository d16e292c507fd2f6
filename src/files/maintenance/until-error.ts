/** The first line of an error is cut to this length, so that a server's error fits into one line of the report. */
const ERROR_CHARACTERS_MAX = 300;

/** Yields the items of a list until reading them fails. Then passes the error to `onError`, and ends normally. */
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
