import { terminalColumns } from '../../src/text/columns.ts';

/** Erases to the end of the row. A command writes no other escape sequence while the width of the terminal stays. */
const ERASE = '\x1b[K';

/**
 * Returns the rows of a terminal of this width after it has received the text. Like a terminal, it continues a line
 * that is too wide in the next row.
 *
 * @throws Error if the text has any other control character or sequence
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
  for (const piece of text.split(ERASE).flatMap((part, i) => (i === 0 ? [...part] : [ERASE, ...part]))) {
    if (piece === ERASE) rows[row]?.splice(column);
    else if (piece === '\r') column = 0;
    else if (piece === '\n') moveDown();
    else if (/\p{Cc}/u.test(piece)) throw new Error(`unexpected ${JSON.stringify(piece)}`);
    else put(piece);
  }
  return rows.map((cells) => cells.join(''));
}
