import type { Terminal } from './terminal.ts';

/** The exit code that a shell reports for SIGINT: 128 plus the number of the signal. */
export const EXIT_INTERRUPTED = 130;

/** The exit code of a command whose arguments are wrong. */
const EXIT_WRONG_ARGUMENTS = 2;

export function asksForHelp(args: readonly string[]): boolean {
  return args.includes('--help') || args.includes('-h');
}

/** Prints the help that the user asked for. @returns the exit code */
export function printHelp(terminal: Terminal, usage: readonly string[]): number {
  terminal.print(...usage);
  return 0;
}

/** Prints which argument is wrong, and the usage. @returns the exit code */
export function refuseArguments(terminal: Terminal, problem: string, usage: readonly string[]): number {
  terminal.complain(problem, '', ...usage);
  return EXIT_WRONG_ARGUMENTS;
}
