/** Control characters, line separators, and what turns text around or hides it. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/**
 * The text on one line, in a form that a terminal only shows. A file, a log or a path may hold what another user of
 * the machine chose: an escape sequence would act on the terminal, a newline would forge a line of the log.
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
