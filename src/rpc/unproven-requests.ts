/** A request that can be given up. */
interface Request {
  once(event: 'close', listener: () => void): unknown;
}

/**
 * Limits the requests of all connections together that are served without proof (health, reflection) and are not here
 * as a whole. If there is one too many, the oldest is given up: a health check is whole within milliseconds, and is
 * answered however many others are held half open.
 *
 * @returns notes a request, and gives what is to be called when it is whole
 */
export function limitUnprovenRequests<R extends Request>(
  max: number,
  giveUp: (request: R) => void,
): (request: R) => () => void {
  const incomplete = new Set<R>();
  return (request) => {
    const forget = () => void incomplete.delete(request);
    incomplete.add(request);
    request.once('close', forget);
    if (incomplete.size > max) {
      const [oldest] = incomplete;
      if (oldest !== undefined) {
        incomplete.delete(oldest);
        giveUp(oldest);
      }
    }
    return forget;
  };
}
