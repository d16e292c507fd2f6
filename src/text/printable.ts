/**
 * `src/text` has the rules for texts that people read. The two folders that use these rules have no other
 * folder in common: the commands (`src/cli`) and the development servers (`src/dev`). Rules about names and
 * types of files belong in `src/files/rules`. Redaction of secrets belongs in `src/observability`.
 */

// The pattern matches control characters (C0, DEL, C1), format characters (bidirectional marks and overrides,
// zero-width characters, the byte order mark, tags), line and paragraph separators, and lone surrogates.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * Returns the text on one line. Each character that a terminal would interpret or hide is written as `\uXXXX`.
 * A name, a path, a log or an answer can hold text of another user. In such text, an escape sequence would act
 * on the terminal, and a newline would forge a line.
 *
 * JSON has the same spelling `\uXXXX`. In a line of JSON these characters occur only inside strings, so the
 * escaped line keeps its meaning. The joiner inside an emoji is also a format character and is escaped:
 * readable family emoji are not worth a list of exceptions.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) =>
    Array.from({ length: character.length }, (_, i) => unitEscape(character.charCodeAt(i))).join(''),
  );
}

/** Escapes a text of several lines like `printable`, but keeps its newlines. An example is the end of a log. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

function unitEscape(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}
