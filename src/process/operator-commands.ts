/** The commands of operators. A command loads its code when it runs, because each needs other parts of the service. */
import { printVariables } from '../cli/config.ts';
import { readConfig } from '../config/config.ts';
import { interruption } from './signals.ts';
import { terminal } from './terminal.ts';
import { userDirectory } from './user-paths.ts';

export async function migrateCommand(): Promise<void> {
  const config = readConfigNow();
  const { runMigrate } = await import('../cli/migrate.ts');
  await runMigrate(config, terminal);
}

export async function reconcileCommand(args: string[]): Promise<void> {
  const { runReconcile } = await import('../cli/reconcile.ts');
  const log = await newLogger('warn');
  process.exitCode = await runReconcile(args, readConfigNow, log, terminal, userDirectory('reconcile'));
}

export async function doctorCommand(args: string[]): Promise<void> {
  const { runDoctor } = await import('../cli/doctor.ts');
  const signal = interruption();
  const log = await newLogger('error');
  process.exitCode = await runDoctor(args, readConfigNow, log, terminal, signal);
}

export async function eventsCommand(args: string[]): Promise<void> {
  const { runEvents } = await import('../cli/events.ts');
  const signal = interruption();
  const log = await newLogger('error');
  process.exitCode = await runEvents(args, readConfigNow, log, terminal, signal);
}

export function configCommand(): void {
  printVariables(terminal);
}

/** Commands call this function when they need the settings: `--help` must work in a wrong environment. */
function readConfigNow() {
  return readConfig(process.env);
}

async function newLogger(level: string) {
  const { createLogger } = await import('../observability/logger.ts');
  return createLogger(level);
}
