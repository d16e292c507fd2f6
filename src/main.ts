/**
 * `src` holds one folder per subject (`src/README.md` lists them as rooms) and this file, the entry point: it
 * runs the command that the first argument of the process names. A command's code is loaded when the command is
 * chosen, so that each loads only what it needs. Work of a command belongs in `src/cli`, what a command needs of the
 * process in `src/process`. No other file belongs in the root of `src`.
 */
import { asksForHelp, printHelp, refuseArguments } from './cli/usage.ts';
import { endWithReader } from './process/end-with-reader.ts';
import { fail, failOnUncaughtErrors } from './process/failure.ts';
import { terminal } from './process/terminal.ts';

interface Command {
  summary: string;
  /** Whether further arguments may follow. The command then parses them, `--help` too. */
  takesArguments?: true;
  load: () => Promise<(args: string[]) => void | Promise<void>>;
}

const COMMANDS: Record<string, Command> = {
  serve: {
    summary: 'run the service',
    load: async () => (await import('./process/serve.ts')).serve,
  },
  migrate: {
    summary: 'bring the schema of DATABASE_URL up to date',
    load: async () => (await import('./process/operator-commands.ts')).migrateCommand,
  },
  upload: {
    summary: 'upload files and directories to a running service',
    takesArguments: true,
    load: async () => (await import('./process/upload.ts')).uploadCommand,
  },
  reconcile: {
    summary: 'compare bucket and table; with --repair, repair the differences',
    takesArguments: true,
    load: async () => (await import('./process/operator-commands.ts')).reconcileCommand,
  },
  doctor: {
    summary: 'probe bucket and database, and print what they guarantee',
    takesArguments: true,
    load: async () => (await import('./process/operator-commands.ts')).doctorCommand,
  },
  events: {
    summary: 'replay: announce READY files again to the consumer of events',
    takesArguments: true,
    load: async () => (await import('./process/operator-commands.ts')).eventsCommand,
  },
  compile: {
    summary: 'fill the compile cache of Node for the first start',
    load: async () => (await import('./process/serve.ts')).compile,
  },
  config: {
    summary: 'print every variable, its default and its meaning',
    load: async () => (await import('./process/operator-commands.ts')).configCommand,
  },
};

failOnUncaughtErrors();
const [name = 'serve', ...args] = process.argv.slice(2);
const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
if (command !== undefined && (args.length === 0 || command.takesArguments)) {
  // `serve` goes on if the reader of its output has ended, because its callers need no output.
  if (name !== 'serve') endWithReader();
  command
    .load()
    .then((run) => run(args))
    .catch(fail);
} else {
  // `npm run migrate -- --help` must print the help and must not migrate.
  const isHelp = asksForHelp(command ? args : [name]);
  const list = Object.entries(COMMANDS).map(([each, { summary }]) => `  ${each.padEnd(10)} ${summary}`);
  const usage = ['usage: node src/main.ts COMMAND', '', ...list];
  const problem = command ? `the command ${name} takes no arguments` : `there is no command ${name}`;
  process.exit(isHelp ? printHelp(terminal, usage) : refuseArguments(terminal, problem, usage));
}
