/** The member of a request, response or stream that this file needs. */
interface Request {
  once(event: 'close', listener: () => void): unknown;
}

/**
 * Limits the open requests without proof of all connections together: health, reflection, pages, and refused
 * calls. A request counts until its response was written, because the client may leave the response unread.
 * Above the limit the oldest request is aborted. An honest request is answered within milliseconds, so it is
 * never the oldest for long.
 *
 * @param abort ends a request and frees its memory
 * @returns a function that counts a request; it returns a function to call when the request's proof was
 *   accepted, so that the request does not count any more
 */
export function limitUnprovenRequests<R extends Request>(
  max: number,
  abort: (request: R) => void,
): (request: R) => () => void {
  const open = new Set<R>();
  return (request) => {
    const countNoMore = () => void open.delete(request);
    open.add(request);
    request.once('close', countNoMore);
    if (open.size > max) {
      const [oldest] = open;
      if (oldest !== undefined) {
        open.delete(oldest);
        abort(oldest);
      }
    }
    return countNoMore;
  };
}
