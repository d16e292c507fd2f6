import { UnusableAnswerError } from './answers/unusable-answer.ts';

/**
 * The markers that tell S3 where the next page of a listing begins. Their names are the parameters of the
 * request for that page.
 */
type Markers = Record<string, string | undefined>;

/**
 * Reads a listing page by page, with one page in memory. The paginators of the SDK are not used for two reasons. The
 * SDK has none for some listings. If a server repeats a marker, a paginator requests the same pages for ever.
 *
 * @param read requests the page after the markers, or the first page
 * @param next returns the markers of the next page; `undefined` after the last page
 * @throws UnusableAnswerError if the server says that more follows but gives no marker, or repeats a marker: the
 *   listing is incomplete then
 */
export async function* listPages<Page>(
  operation: string,
  read: (markers: Markers) => Promise<Page>,
  next: (page: Page) => Markers | undefined,
): AsyncGenerator<Page> {
  // Brent's algorithm finds any cycle of markers and keeps only one marker. Each marker is compared with one
  // earlier marker, which is replaced after 1, 2, 4, 8 … pages.
  let earlier = '';
  let pages = 0;
  let replaceAt = 1;
  let markers: Markers | undefined = {};
  while (markers !== undefined) {
    const page: Page = await read(markers);
    yield page;
    markers = next(page);
    if (markers === undefined) return;
    const text = JSON.stringify(markers);
    if (text === '{}')
      throw new UnusableAnswerError(`${operation} said that more follows, without a marker for it`);
    if (text === earlier)
      throw new UnusableAnswerError(`${operation} repeated its marker, so the listing cannot be ended`);
    if (++pages === replaceAt) {
      earlier = text;
      replaceAt *= 2;
    }
  }
}
