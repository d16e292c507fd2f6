/**
 * `src/text` has the rules for texts that people read, for the rooms that have no other room in common: the
 * commands (`src/cli`) and the development servers (`src/dev`). Rules about names and types of files belong
 * into `src/files/rules`, redaction of secrets belongs into `src/observability`.
 */

// Control characters (C0, DEL, C1), format characters (bidirectional marks and overrides, zero-width
// characters, the byte order mark, tags), line and paragraph separators, and lone surrogates.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * Returns the text on one line, with each character that a terminal would interpret or hide as `\uXXXX`. A
 * name, a path, a log or an answer can hold text of another user: an escape sequence would act on the
 * terminal, and a newline would forge a line.
 *
 * JSON spells these characters like that too, so an escaped line of JSON, in which they occur only in
 * strings, keeps its meaning. The joiner inside an emoji is also a format character and is escaped: readable
 * family emoji are not worth a list of exceptions.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) =>
    Array.from({ length: character.length }, (_, i) => unitEscape(character.charCodeAt(i))).join(''),
  );
}

/** For texts of several lines, such as the end of Postgres's log. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

function unitEscape(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}
