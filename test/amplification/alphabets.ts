/**
 * Units of long strings. A unit is repeated until the string has its size. Each unit is the worst case of
 * code that parses, normalizes, decodes or escapes strings.
 */
export const ALPHABETS: Record<string, string> = {
  digits: '0123456789',
  base64: 'QUJD',
  // The canonical order of these two marks is the reverse, so NFC sorts all marks, in a time quadratic in their number.
  'combining marks in bad order': '\u0315\u0300',
  'Hebrew points in bad order': '\u05b0\u0591',
  // A single UTF-16 unit that NFC expands to two characters of six bytes together.
  'characters that NFC expands': '\ufb2c',
  'Hangul jamo': '\u1112\u1161\u11ab',
  CJK: '\u6f22',
  'surrogate pairs': '\u{1f600}',
  NULs: '\0',
  slashes: '/',
  'percent signs': '%',
  quotes: '"\\',
  // Worst case for a regular expression that matches MIME types.
  'MIME parameters': 'a/a;a="\\a" ',
  commas: ', ',
};

/** The unit, repeated as often as it fits into `sizeBytes` bytes of UTF-8. */
export function textOf(unit: string, sizeBytes: number): string {
  return unit.repeat(Math.max(0, Math.floor(sizeBytes / Buffer.byteLength(unit))));
}
