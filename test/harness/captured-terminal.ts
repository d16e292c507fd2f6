import { createTerminal, type Terminal } from '../../src/cli/terminal.ts';

/** A terminal for one command. It records the output of the command. */
export interface CapturedTerminal extends Terminal {
  readonly stdout: string;
  readonly stderr: string;
}

/** @param isTTY whether the output is a terminal, on which commands draw their progress */
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

/** The characters that no command may write. The line feed is the only control character that is allowed. */
export const UNPRINTABLE = /[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

/** Text with escape sequences that act on a terminal, and with line ends that would forge a line `forged`. */
export const hostileText = (forged: string): string =>
  `a\x1b[2J\x1b]0;title\x07\r\n${forged}\n\r\x7f\x85\x9b2K\u2028${forged}\u2029\u202etxt.exe\u2066\u200f\u061c\u200b\ufeff\u{e0041}`;
