/** Control characters, line separators, and characters that reverse or hide text. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/**
 * Returns the text on one line, without characters that act on a terminal. A file, a log or a path can hold
 * text of another user of the machine. An escape sequence would act on the terminal, and a newline would
 * forge a log line.
 */
export function printable(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (character) => `\\u{${character.codePointAt(0)?.toString(16).padStart(4, '0')}}`,
  );
}

/** For texts of several lines, such as the end of Postgres's log. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}
