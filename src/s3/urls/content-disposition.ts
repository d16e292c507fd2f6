/**
 * Returns a Content-Disposition with which a browser saves the file under its own name and never displays it,
 * whatever its type is (RFC 6266). `filename` is a fallback for clients that only know ASCII, `filename*`
 * (RFC 8187) is the exact name.
 */
export function attachment(filename: string): string {
  const ascii = filename.replace(/[^\x20-\x7e]|["\\%]/gu, '_');
  return `attachment; filename="${ascii}"; filename*=UTF-8''${extValue(filename)}`;
}

/** Keeps the characters that RFC 8187 calls attr-char, and percent-encodes the UTF-8 of all others. */
function extValue(text: string): string {
  return encodeURIComponent(text).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
