import type { Writable } from 'node:stream';
import { fitColumns, terminalColumns } from '../text/columns.ts';
import { printable } from '../text/printable.ts';

export type Terminal = ReturnType<typeof createTerminal>;

/** The methods and properties of a stream that this file uses. The stream may be a terminal or, say, a file. */
type Output = Pick<Writable, 'write'> & { isTTY?: boolean; columns?: number };

/**
 * The only object through which a command writes to stdout and stderr. It escapes all text, so no filename, key or
 * server answer can move the cursor, reverse the text or begin a line of its own. Progress goes to stderr, so stdout
 * can go into a file while a person watches the progress. No text has a color, so NO_COLOR has nothing to turn off.
 *
 * @param termName the value of TERM
 */
export function createTerminal(stdout: Output, stderr: Output, termName = '') {
  const isWatched = stderr.isTTY === true && termName !== DUMB;
  /** The progress line on the screen. Empty if there is none. */
  let shown = '';
  const screenColumns = () => stderr.columns || COLUMNS_DEFAULT;
  const lineColumns = () => screenColumns() - CURSOR_COLUMNS - INTERRUPT_COLUMNS;

  const clearLine = () => {
    if (shown === '') return;
    // A terminal that has become narrower since the line was drawn has broken the line into several rows. All of them
    // are erased.
    const rowsAbove = Math.ceil(terminalColumns(shown) / screenColumns()) - 1;
    stderr.write(`${rowsAbove > 0 ? `\x1b[${rowsAbove}A` : ''}\r\x1b[${rowsAbove > 0 ? 'J' : 'K'}`);
    shown = '';
  };
  const draw = (line: string) => {
    clearLine();
    // The terminal would break a line that is wider than the screen into several rows. The progress line must take only
    // one row, so it is cut.
    shown = fitColumns(printable(line), lineColumns());
    stderr.write(shown);
  };
  const writeTo = (output: Output, lines: readonly string[]) => {
    const line = shown;
    clearLine();
    output.write(joined(lines));
    if (line !== '') draw(line);
  };
  return {
    /** Whether a person can see the progress. */
    isWatched,
    /** The columns that a progress line can take now. The number changes when the user resizes the window. */
    get columns(): number {
      return lineColumns();
    },
    /**
     * Prints lines of the command's result. A line end inside a line is escaped too, so a text of several lines
     * must be split by the caller.
     */
    print: (...lines: string[]): void => writeTo(stdout, lines),
    /** Prints lines that are not the result, such as errors, to stderr. */
    complain: (...lines: string[]): void => writeTo(stderr, lines),
    /**
     * Replaces the progress line, which stays below all printed lines. An empty text removes it. Does nothing if
     * stderr is not a terminal that can erase a line.
     */
    progress(line: string): void {
      if (isWatched) draw(line);
    },
  };
}

const COLUMNS_DEFAULT = 80;

/** The TERM of a terminal that cannot move its cursor, such as a shell inside an editor. */
const DUMB = 'dumb';

/**
 * A terminal writes `^C` behind the progress line when the user presses Ctrl-C. With it, a full line would become two
 * rows.
 */
const INTERRUPT_COLUMNS = 2;

/** Some terminals move the cursor to the next row as soon as the last column has a character. So it stays free. */
const CURSOR_COLUMNS = 1;

function joined(lines: readonly string[]): string {
  return lines.map((line) => `${printable(line)}\n`).join('');
}
