/** The exit code that a shell reports for SIGPIPE: 128 plus the number of the signal. */
const EXIT_BROKEN_PIPE = 141;

/**
 * Ends the process without an error message when the reader of its output has ended, as `head` does after ten lines.
 * Other programs end in this way by the signal SIGPIPE, but Node ignores SIGPIPE.
 */
export function endWithReader(): void {
  for (const output of [process.stdout, process.stderr]) {
    output.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      process.exit(EXIT_BROKEN_PIPE);
    });
  }
}
