/** Units that can make a parser slow when they are repeated. */
const UNITS: Record<string, string> = {
  'combining marks in alternating classes': '\u0345\u0301\u0323\u0334',
  'combining marks beyond the first plane': '\u{1d165}\u{1d16d}',
  'characters that grow when decomposed': '\ufdfa',
  'decomposed Hangul': '\u1100\u1161\u11a8',
  'Latin letters': 'a',
  digits: '9',
  base64: 'Ab+/',
  'base64 for URLs': 'Ab-_',
  padding: '=',
  slashes: '/',
  backslashes: '\\',
  'parameters without an end': ';a="',
  'parameters without a name': ';  ',
  'values with blanks': ';a=b c',
  'quoted pairs': '\\"',
  blanks: ' ',
  'percent signs': '%',
  underscores: '_',
  dots: '.',
  'question marks': '?',
  NUL: '\0',
  'line ends': '\r\n',
  'lone surrogates': '\ud800',
  emoji: '\u{1f600}',
};

/** Valid beginnings, so that a parser does not stop at the first character. */
const BEGINNINGS = ['', 'a', 'a/b', 'a/b;c="', 'user_', 'user_a.'];

/** Named texts of one length in UTF-16 units. */
export function worstTexts(length: number): [name: string, text: string][] {
  return Object.entries(UNITS).flatMap(([name, unit]) =>
    BEGINNINGS.map((beginning): [string, string] => [
      `${JSON.stringify(beginning)} and ${name}`,
      (beginning + unit.repeat(Math.ceil(length / unit.length))).slice(0, length),
    ]),
  );
}
