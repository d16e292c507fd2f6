import type { Writable } from 'node:stream';
import { printable } from '../text/printable.ts';

export type Terminal = ReturnType<typeof createTerminal>;

/** The part of a stream that is used here; a terminal or not. */
export type Output = Pick<Writable, 'write'> & { isTTY?: boolean; columns?: number };

/**
 * The only way of a command to the output of the process. All text is escaped, so no filename, key or server
 * answer can move the cursor, reverse the text or begin a line of its own. Progress goes to stderr, so stdout can
 * go into a file while a person watches the progress.
 */
export function createTerminal(stdout: Output, stderr: Output) {
  const clearLine = () => {
    if (stderr.isTTY) stderr.write('\r\x1b[K');
  };
  return {
    /**
     * Prints lines of the command's result. A line end inside a line is escaped too, so a text of several lines
     * must be split by the caller.
     */
    print(...lines: string[]): void {
      clearLine();
      stdout.write(joined(lines));
    },
    /** Prints lines that are not the result, such as errors, to stderr. */
    complain(...lines: string[]): void {
      clearLine();
      stderr.write(joined(lines));
    },
    /** Overwrites the last progress line. Does nothing if stderr is not a terminal. */
    progress(line: string): void {
      if (!stderr.isTTY) return;
      clearLine();
      // A line that is longer than the screen wraps, and could not be overwritten.
      stderr.write(printable(line).slice(0, (stderr.columns ?? COLUMNS_DEFAULT) - 1));
    },
  };
}

const COLUMNS_DEFAULT = 80;

function joined(lines: readonly string[]): string {
  return lines.map((line) => `${printable(line)}\n`).join('');
}
