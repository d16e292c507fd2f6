/**
 * A Content-Disposition that always saves and never shows, whatever the type is,
 * with the file's own name (RFC 6266). `filename` is for readers that know
 * ASCII alone, `filename*` (RFC 8187) is the name itself.
 */
export function attachment(filename: string): string {
  const ascii = filename.replace(/[^\x20-\x7e]|["\\%]/gu, '_');
  return `attachment; filename="${ascii}"; filename*=UTF-8''${extValue(filename)}`;
}

/** RFC 8187's attr-char as they are, the rest as percent-encoded UTF-8. */
function extValue(text: string): string {
  return encodeURIComponent(text).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
