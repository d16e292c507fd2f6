import type { IncomingHttpHeaders } from 'node:http';

/** Asks the sender for a token in one of the two forms that the headers may have (RFC 6750 and RFC 7617). */
export const CHALLENGE = 'Bearer realm="storage-events", Basic realm="storage-events"';

/** The two schemes of the header `authorization`. The names of schemes have no case (RFC 9110, 11.1). */
const AUTHORIZATION = /^(bearer|basic) +([^ ]+) *$/i;

/**
 * Returns the token that a request carries. Senders differ in what they can send, so a token may be in the header, as a
 * Bearer token or as the password of any user, or at the end of the path.
 *
 * @param endOfPath what follows the path of the endpoint; empty if the path ends there
 * @returns `undefined` if the request carries no token. A token in the header takes precedence.
 */
export function senderToken({ authorization }: IncomingHttpHeaders, endOfPath: string): string | undefined {
  if (authorization === undefined) return endOfPath === '' ? undefined : unescaped(endOfPath);
  const [, scheme = '', value = ''] = AUTHORIZATION.exec(authorization) ?? [];
  if (scheme.toLowerCase() !== 'basic') return scheme === '' ? undefined : value;
  const [, ...password] = Buffer.from(value, 'base64').toString().split(':');
  // A password may contain colons, a user may not.
  return password.length === 0 ? undefined : password.join(':');
}

/** A client may send a character such as `=` in a path as it is, or escaped. */
function unescaped(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
