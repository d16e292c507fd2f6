import type { Writable } from 'node:stream';
import { printable } from '../text/printable.ts';

export type Terminal = ReturnType<typeof createTerminal>;

/** The methods and properties of a stream that this file uses. The stream may be a terminal or, say, a file. */
export type Output = Pick<Writable, 'write'> & { isTTY?: boolean; columns?: number };

/**
 * The only object through which a command writes to stdout and stderr. It escapes all text, so no filename, key or
 * server answer can move the cursor, reverse the text or begin a line of its own. Progress goes to stderr, so stdout
 * can go into a file while a person watches the progress.
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
      // The terminal breaks a line that is wider than the screen into two lines, and `clearLine` clears only the
      // second. So the line is cut.
      stderr.write(printable(line).slice(0, (stderr.columns ?? COLUMNS_DEFAULT) - 1));
    },
  };
}

const COLUMNS_DEFAULT = 80;

function joined(lines: readonly string[]): string {
  return lines.map((line) => `${printable(line)}\n`).join('');
}
