import { integer, oneOf, text } from '../setting.ts';

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/**
 * The settings of the process itself: its sweeper (the background task that finishes or removes what calls left
 * unfinished, `src/files/maintenance/sweeper.ts`), its stop, its data directory and its log.
 */
export const OPERATION = {
  sweepIntervalSeconds: integer('SWEEP_INTERVAL_SECONDS', {
    min: 1,
    max: 3_600,
    default: 5,
    desc: 'The sweeper’s mean pause between two rounds. With EVENTS_URL, it is at most 1.',
  }),
  stopDelaySeconds: integer('STOP_DELAY_SECONDS', {
    min: 0,
    max: 300,
    default: 1,
    desc: 'How long the service still accepts calls after SIGTERM while it reports that it is not ready. Load balancers need this time to notice.',
  }),
  dataDirectory: text('DATA_DIR', {
    default: '.data',
    desc: 'The directory of the embedded Postgres and object store. It must be private to the user that runs the service: the service refuses a directory that another user owns, or can write to or replace.',
  }),
  logLevel: oneOf('LOG_LEVEL', {
    choices: LOG_LEVELS,
    default: 'info',
    desc: 'The lowest level that is logged. Calls are logged at `debug`; slow and failed calls are always logged.',
  }),
};
