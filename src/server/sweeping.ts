import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { sweepOne } from '../files/maintenance/sweep.ts';
import { createSweeper, type Sweeper } from '../files/maintenance/sweeper.ts';
import type { Ports } from '../files/operations/operations.ts';
import { refusalIn } from '../files/refusal-error.ts';
import { FAILURE_INTERVAL_MS, kindOfError, limitLinesByKind } from '../observability/limit-lines.ts';
import type { Metrics } from '../observability/metrics.ts';
import { isSchemaBehind } from '../postgres/connection/error-classes.ts';

/** With events, an early sweep (`src/postgres/statements/expressions.ts`) comes late by this time at most. */
const INTERVAL_WITH_EVENTS_SECONDS = 1;

function intervalSeconds({ operation, events }: Config): number {
  const { sweepIntervalSeconds } = operation;
  return events === undefined
    ? sweepIntervalSeconds
    : Math.min(sweepIntervalSeconds, INTERVAL_WITH_EVENTS_SECONDS);
}

/**
 * Creates the sweeper, the background task that finishes interrupted work (`src/files/maintenance/sweeper.ts`). It
 * reports to the metrics and the log.
 */
export function createObservedSweeper(ports: Ports, config: Config, log: Logger, metrics: Metrics): Sweeper {
  const errorLine = limitLinesByKind(FAILURE_INTERVAL_MS);
  return createSweeper({
    store: ports.store,
    sweepOne: sweepOne(ports),
    intervalSeconds: intervalSeconds(config),
    onSwept: (outcome) => metrics.swept.inc({ outcome }),
    onOverdue: (seconds) => metrics.oldestOverdueSeconds.set(seconds),
    onError: (error) => {
      // The log already has the sentence about the refusal (`src/observability/refusals.ts`), or the line of the
      // readiness check that tells to migrate.
      if (refusalIn(error) !== undefined || isSchemaBehind(error)) return;
      errorLine(kindOfError(error), (unlogged) =>
        log.warn({ err: error, unlogged }, 'the sweeper could not finish a step and will repeat it'),
      );
    },
  });
}
