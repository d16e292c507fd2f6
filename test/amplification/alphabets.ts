/**
 * What a long string is made of. Each unit is repeated until the string has its size, and each is the worst case of
 * something that parses, normalizes, decodes or escapes a string.
 */
export const ALPHABETS: Record<string, string> = {
  digits: '0123456789',
  base64: 'QUJD',
  // Their canonical order is the other way round, so that NFC sorts all of them: quadratic in their number.
  'combining marks in bad order': '\u0315\u0300',
  'Hebrew points in bad order': '\u05b0\u0591',
  // One unit of UTF-16 that becomes two characters of six bytes in NFC.
  'characters that NFC expands': '\ufb2c',
  'Hangul jamo': '\u1112\u1161\u11ab',
  CJK: '\u6f22',
  'surrogate pairs': '\u{1f600}',
  NULs: '\0',
  slashes: '/',
  'percent signs': '%',
  quotes: '"\\',
  // For a MIME type that is read by a pattern.
  'MIME parameters': 'a/a;a="\\a" ',
  commas: ', ',
};

/** As many whole units as fit into so many bytes of UTF-8. */
export function textOf(unit: string, sizeBytes: number): string {
  return unit.repeat(Math.max(0, Math.floor(sizeBytes / Buffer.byteLength(unit))));
}
