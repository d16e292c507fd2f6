import type { Writable } from 'node:stream';

/**
 * The only way of a command to the output of the process. All text is escaped, so no filename, key or server
 * answer can move the cursor, reverse the text or begin a line of its own.
 */
export interface Terminal {
  /**
   * Prints lines of the command's result. A line end inside a line is escaped too, so a text of several lines
   * must be split by the caller.
   */
  print(...lines: string[]): void;
  /** Prints lines that are not the result, such as errors, to stderr. */
  complain(...lines: string[]): void;
  /** Overwrites the last progress line. Does nothing if stderr is not a terminal. */
  progress(line: string): void;
}

/** The part of a stream that is used here; a terminal or not. */
export type Output = Pick<Writable, 'write'> & { isTTY?: boolean; columns?: number };

/** Progress goes to stderr, so stdout can go into a file while a person watches the progress. */
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
      // A line that is longer than the screen wraps, and could not be overwritten.
      stderr.write(escapeControls(line).slice(0, (stderr.columns ?? COLUMNS_DEFAULT) - 1));
    },
  };
}

const COLUMNS_DEFAULT = 80;

function joined(lines: readonly string[]): string {
  return lines.map((line) => `${escapeControls(line)}\n`).join('');
}

// Control characters (C0, DEL, C1), format characters (bidirectional marks and overrides, zero-width
// characters, the byte order mark, tags), line and paragraph separators, and lone surrogates.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * Shows characters that a terminal would interpret or hide as `\uXXXX`. JSON spells them like that too, so an
 * escaped line of JSON, in which such characters occur only in strings, keeps its meaning.
 *
 * The joiner inside an emoji is also a format character and is escaped: readable family emoji are not worth a
 * list of exceptions.
 */
export function escapeControls(text: string): string {
  return text.replace(UNPRINTABLE, (character) =>
    Array.from({ length: character.length }, (_, i) => unitEscape(character.charCodeAt(i))).join(''),
  );
}

function unitEscape(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}
