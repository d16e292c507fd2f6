/** A request that can be given up. */
interface Request {
  once(event: 'close', listener: () => void): unknown;
}

/**
 * Limits the requests of all connections together that have shown no proof: health, reflection, pages, and whatever is
 * refused. A request counts until its answer was written, for the client may leave that unread. If there is one too
 * many, the oldest is given up: an honest one is answered within milliseconds, however many others are held open.
 *
 * @returns notes a request, and gives what is to be called when it counts no more: its proof was accepted
 */
export function limitUnprovenRequests<R extends Request>(
  max: number,
  giveUp: (request: R) => void,
): (request: R) => () => void {
  const open = new Set<R>();
  return (request) => {
    const forget = () => void open.delete(request);
    open.add(request);
    request.once('close', forget);
    if (open.size > max) {
      const [oldest] = open;
      if (oldest !== undefined) {
        open.delete(oldest);
        giveUp(oldest);
      }
    }
    return forget;
  };
}
