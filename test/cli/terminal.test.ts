import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createTerminal } from '../../src/cli/terminal.ts';
import { terminalColumns } from '../../src/text/columns.ts';
import { printable } from '../../src/text/printable.ts';
import { captureTerminal, hostileText, UNPRINTABLE } from '../harness/captured-terminal.ts';

/**
 * Any UTF-16 units, including lone surrogates, with a high share of the characters that terminals interpret.
 */
const text = fc.string({
  unit: fc.oneof(
    fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
    fc.integer({ min: 0, max: 0x9f }).map((unit) => String.fromCharCode(unit)),
    fc.integer({ min: 0x2000, max: 0x206f }).map((unit) => String.fromCharCode(unit)),
    fc.integer({ min: 0x10000, max: 0x10ffff }).map((code) => String.fromCodePoint(code)),
  ),
});

describe('a printed line', () => {
  it('stays one line and contains nothing that a terminal interprets or hides', () => {
    fc.assert(
      fc.property(fc.array(text), (lines) => {
        const terminal = captureTerminal();
        terminal.print(...lines);
        terminal.complain(...lines);
        expect(terminal.stdout.split('\n')).toHaveLength(lines.length + 1);
        expect(terminal.stdout).not.toMatch(UNPRINTABLE);
        expect(terminal.stderr).toBe(terminal.stdout);
      }),
      { numRuns: 2_000 },
    );
  });

  it('of JSON keeps its meaning', () => {
    fc.assert(
      fc.property(fc.dictionary(text, text), (value) => {
        const terminal = captureTerminal();
        terminal.print(...JSON.stringify(value, null, 2).split('\n'));
        expect(terminal.stdout).not.toMatch(UNPRINTABLE);
        expect(JSON.parse(terminal.stdout)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['ESC', '\x1b[31m', '\\u001b[31m'],
    ['CR and LF', 'a\r\nb', 'a\\u000d\\u000ab'],
    ['a tab', '\t', '\\u0009'],
    ['DEL', '\x7f', '\\u007f'],
    ['C1', '\x9b31m', '\\u009b31m'],
    ['a line separator', '\u2028', '\\u2028'],
    ['a paragraph separator', '\u2029', '\\u2029'],
    ['an Arabic letter mark', '\u061c', '\\u061c'],
    ['a bidirectional mark', '\u200e\u200f', '\\u200e\\u200f'],
    ['a bidirectional override', '\u202e', '\\u202e'],
    ['a bidirectional isolate', '\u2066\u2069', '\\u2066\\u2069'],
    ['a zero-width space', '\u200b', '\\u200b'],
    ['a byte order mark', '\ufeff', '\\ufeff'],
    ['a tag beyond the first plane', '\u{e0041}', '\\udb40\\udc41'],
    ['a lone surrogate', '\ud800a', '\\ud800a'],
  ])('shows %s as an escape', (_, raw, shown) => {
    expect(printable(raw)).toBe(shown);
  });

  it.each(['Grüße.txt', '日本語', 'שלום', '👍🏽', 'a\\b "c"', '…█░'])('shows %s unchanged', (name) => {
    expect(printable(name)).toBe(name);
  });
});

describe('the progress line', () => {
  const CLEAR = '\r\x1b[K';

  it('moves the cursor only by its own sequences, and is cut to its columns', () => {
    const terminal = captureTerminal(true);
    terminal.progress(hostileText('done'));
    expect(terminal.stderr).not.toMatch(UNPRINTABLE);
    expect(terminalColumns(terminal.stderr)).toBe(terminal.columns);
    terminal.progress('日本語'.repeat(30));
    const [, second = ''] = terminal.stderr.split(CLEAR);
    expect(terminalColumns(second)).toBe(terminal.columns);
    const unwatched = captureTerminal();
    unwatched.progress('a');
    expect(unwatched.stderr).toBe('');
  });

  it('stays below the lines that are printed, and an empty one removes it', () => {
    const terminal = captureTerminal(true);
    terminal.progress('10 %');
    terminal.complain('a: failed');
    terminal.print('b: stored');
    terminal.progress('');
    expect(terminal.stderr).toBe(`10 %${CLEAR}a: failed\n10 %${CLEAR}10 %${CLEAR}`);
    expect(terminal.stdout).toBe('b: stored\n');
  });

  it('of 80 columns leaves room for the ^C that the terminal writes, and for the cursor', () => {
    expect(captureTerminal(true).columns).toBe(77);
  });

  it.each([{}, { columns: 0 }])('fits 80 columns if the terminal does not know its width: %j', (size) => {
    const screen = { isTTY: true, ...size, write: () => true };
    expect(createTerminal(screen, screen).columns).toBe(77);
  });

  it('is removed as a whole when the window became narrower and broke it into rows', () => {
    const screen = {
      isTTY: true,
      columns: 100,
      written: '',
      write(text: string) {
        this.written += text;
        return true;
      },
    };
    const terminal = createTerminal(screen, screen);
    terminal.progress('x'.repeat(90));
    screen.columns = 40;
    terminal.progress('y');
    expect(screen.written).toBe(`${'x'.repeat(90)}\x1b[2A\r\x1b[Jy`);
  });
});
