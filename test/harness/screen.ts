import { terminalColumns } from '../../src/text/columns.ts';

/** The sequences that commands write: up, erase to the end of the row, erase to the end of the screen. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences begin with ESC
const SEQUENCE = /^\x1b\[(\d*)([AKJ])/;

/**
 * Returns the rows of a terminal of this width after it has received the text. Like a terminal, it continues a line
 * that is too wide in the next row. Blanks at the end of a row are kept.
 *
 * @throws Error if the text has a control character that no command of this project writes
 */
export function screenAfter(text: string, columns: number): string[] {
  const rows: string[][] = [[]];
  let [row, column] = [0, 0];
  const moveDown = () => {
    row += 1;
    rows[row] ??= [];
  };
  const put = (character: string) => {
    const width = terminalColumns(character);
    if (column + width > columns) {
      moveDown();
      column = 0;
    }
    // The second half of a wide character is an empty cell.
    for (const [i, cell] of [character, ''].slice(0, width).entries()) (rows[row] ?? [])[column + i] = cell;
    column += width;
  };
  const obey = (count: string, command: string) => {
    if (command === 'A') row = Math.max(row - Number(count || 1), 0);
    else rows[row]?.splice(column);
    if (command === 'J') rows.splice(row + 1);
  };
  for (let rest = text; rest !== ''; ) {
    const [sequence, count = '', command = ''] = SEQUENCE.exec(rest) ?? [];
    const [first = ''] = rest;
    if (sequence !== undefined) obey(count, command);
    else if (first === '\r') column = 0;
    else if (first === '\n') moveDown();
    else if (/\p{Cc}/u.test(first)) throw new Error(`unexpected ${JSON.stringify(rest.slice(0, 10))}`);
    else put(first);
    rest = rest.slice((sequence ?? first).length);
  }
  return rows.map((cells) => cells.join(''));
}
