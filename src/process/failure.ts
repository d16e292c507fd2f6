import { StartupError } from '../config/startup-error.ts';
import { redact } from '../observability/redact.ts';
import { terminal } from './terminal.ts';

/** Makes an uncaught error end the process as any other error does. An unhandled rejection is an uncaught error. */
export function failOnUncaughtErrors(): void {
  process.on('uncaughtException', fail);
}

/**
 * Keeps the process alive after an uncaught error. Such an error has ended at most the call that caused it;
 * all other calls go on. Going on is safe for the files, because the process keeps no state of files in memory: their
 * state is in the rows of the database, and each step changes a row with one statement. If the process ended, it
 * would break all calls that it is working on.
 */
export function outliveUncaughtErrors(onError: (error: unknown) => void): void {
  process.off('uncaughtException', fail);
  process.on('uncaughtException', onError);
}

/**
 * Prints the error and ends the process. A StartupError is printed as its message; any other error with its
 * stack.
 */
export function fail(error: unknown): void {
  const text = error instanceof StartupError ? error.message : error instanceof Error ? error.stack : error;
  terminal.complain(...indented(redact(String(text))));
  process.exit(1);
}

/**
 * Indents all lines but the first. An error may repeat text of a server or of another user, and no line of
 * that text must look like a line of this program.
 */
function indented(text: string): string[] {
  return text.split('\n').map((line, i) => (i === 0 || line.startsWith('  ') ? line : `  ${line}`));
}
