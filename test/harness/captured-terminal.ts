import { createTerminal, type Terminal } from '../../src/cli/terminal.ts';

/** A command's own terminal, with what it wrote. */
export interface CapturedTerminal extends Terminal {
  readonly stdout: string;
  readonly stderr: string;
}

/** @param isTTY whether somebody watches the progress */
export function captureTerminal(isTTY = false): CapturedTerminal {
  const written = { stdout: '', stderr: '' };
  const output = (name: keyof typeof written) => ({
    isTTY,
    columns: 80,
    write: (text: string) => {
      written[name] += text;
      return true;
    },
  });
  return {
    ...createTerminal(output('stdout'), output('stderr')),
    get stdout() {
      return written.stdout;
    },
    get stderr() {
      return written.stderr;
    },
  };
}

/** What no command may write, but for its own line ends. */
export const UNPRINTABLE = /[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

/** Text that a terminal would obey, and that would forge a line of `forged`. */
export const hostileText = (forged: string): string =>
  `a\x1b[2J\x1b]0;title\x07\r\n${forged}\n\r\x7f\x85\x9b2K\u2028${forged}\u2029\u202etxt.exe\u2066\u200f\u061c\u200b\ufeff\u{e0041}`;
