import type { WriteStream } from 'node:tty';

/** Where a command says what it does. */
export interface Terminal {
  print(text: string): void;
  /** Overwrites its last line; does nothing where nobody watches. */
  progress(line: string): void;
}

/** Output may go into a file while somebody watches the progress. */
export function createTerminal(stdout: WriteStream, stderr: WriteStream): Terminal {
  return {
    print(text) {
      if (stderr.isTTY) stderr.write('\r\x1b[K');
      stdout.write(text);
    },
    progress(line) {
      // A line that is longer than the screen is wide would not be overwritten.
      if (stderr.isTTY) stderr.write(`\r\x1b[K${line.slice(0, stderr.columns - 1)}`);
    },
  };
}
