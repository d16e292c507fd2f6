import { createTerminal } from '../cli/terminal.ts';

/** The terminal on the streams of this process. */
export const terminal = createTerminal(process.stdout, process.stderr, process.env.TERM);
