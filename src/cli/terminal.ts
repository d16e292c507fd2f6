import type { Writable } from 'node:stream';

/**
 * Where a command says what it does: the only way to the process's output. Everything that is given to it is escaped, so
 * no name, key or answer of a server can move the cursor, turn the text around or begin a line of its own.
 */
export interface Terminal {
  /** Lines of the command's result. A line end inside of one is escaped too, so text of several lines is split before. */
  print(...lines: string[]): void;
  /** The same for what is not the result. */
  complain(...lines: string[]): void;
  /** Overwrites its last line; does nothing where nobody watches. */
  progress(line: string): void;
}

/** As much of a stream as is used here, of a terminal or not. */
export type Output = Pick<Writable, 'write'> & { isTTY?: boolean; columns?: number };

/** Output may go into a file while somebody watches the progress. */
export function createTerminal(stdout: Output, stderr: Output): Terminal {
  const clearLine = () => {
    if (stderr.isTTY) stderr.write('\r\x1b[K');
  };
  return {
    print(...lines) {
      clearLine();
      stdout.write(joined(lines));
    },
    complain(...lines) {
      clearLine();
      stderr.write(joined(lines));
    },
    progress(line) {
      if (!stderr.isTTY) return;
      clearLine();
      // A line that is longer than the screen is wide would not be overwritten.
      stderr.write(escapeControls(line).slice(0, (stderr.columns ?? COLUMNS_DEFAULT) - 1));
    },
  };
}

const COLUMNS_DEFAULT = 80;

function joined(lines: readonly string[]): string {
  return lines.map((line) => `${escapeControls(line)}\n`).join('');
}

// Control characters (C0, DEL, C1), format characters (bidirectional marks and overrides, zero-width characters, the
// byte order mark, tags), line and paragraph separators, and lone surrogates.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * Shows as `\uXXXX` what a terminal would interpret or hide. That is also how JSON spells it: a line of JSON, in which
 * such characters stand in strings only, still means the same.
 *
 * The joiner in an emoji is a format character, too. It is escaped as well: readable names of families are worth less
 * than a list of exceptions.
 */
export function escapeControls(text: string): string {
  return text.replace(UNPRINTABLE, (character) =>
    Array.from({ length: character.length }, (_, i) => unitEscape(character.charCodeAt(i))).join(''),
  );
}

function unitEscape(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}
