/** The markers of a listing, by the names that the next request gives them. */
type Markers = Record<string, string | undefined>;

/**
 * Reads a listing page by page, with one page in memory. The SDK has no paginator for every listing, and its
 * paginators follow a marker that does not advance for ever.
 *
 * @param read requests the page after the markers, or the first page
 * @param next returns the markers of the next page; `undefined` after the last page
 * @throws Error if the server says that more follows and gives no marker, or one that it has given before: the
 *   listing is incomplete then
 */
export async function* listPages<Page>(
  operation: string,
  read: (markers: Markers) => Promise<Page>,
  next: (page: Page) => Markers | undefined,
): AsyncGenerator<Page> {
  // Brent's algorithm: each marker is compared with one earlier marker, which is replaced after 1, 2, 4, 8 …
  // pages. So any cycle is found, and only one marker is kept.
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
    if (text === '{}') throw new Error(`${operation} said that more follows, without a marker for it`);
    if (text === earlier) throw new Error(`${operation} repeated its marker, so the listing cannot be ended`);
    if (++pages === replaceAt) {
      earlier = text;
      replaceAt *= 2;
    }
  }
}
