import type { Config } from '../../config/config.ts';
import { observeStorage } from '../../observability/call-log.ts';
import type { Metrics } from '../../observability/metrics.ts';
import type { Refusals } from '../../observability/refusals.ts';
import { traceStep } from '../../observability/tracing.ts';
import { createBreakers } from '../../overload/circuit-breaker.ts';
import { MAX_TIMEOUT_MS } from '../call-timeouts.ts';
import type { BackendOptions } from './backends.ts';

/** The longest time to get a free connection to Postgres, or to open a new one. */
const CONNECT_TIMEOUT_MS = 2_000;

/**
 * Statements take about a millisecond. A statement that takes this long probably waits for something that will
 * not happen, so it is cancelled.
 */
const STATEMENT_TIMEOUT_MS = 2_500;

/**
 * The longest wait for a lock. The service's own statements lock a row for milliseconds. This time-out is shorter
 * than the statement time-out, so that the error names the lock as its reason, and so that a statement that waits
 * for a locked row occupies a connection for less time.
 */
const LOCK_TIMEOUT_MS = 1_000;

/** Returns the options for Postgres and S3 in calls of users: short time-outs, circuit breakers, traces and metrics. */
export function backendsForCalls(config: Config, metrics: Metrics, refusals: Refusals): BackendOptions {
  const { lifetimes, limits, multipart, events } = config;
  return {
    pool: {
      maxConnections: config.database.poolSize,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      lockTimeoutMs: LOCK_TIMEOUT_MS,
    },
    limits: {
      ...lifetimes,
      ...limits,
      // The row stores the time at which its URLs expire, counted from the reservation. A URL is signed later
      // in the same call, so it expires later than that time. If the row counted as expired first, the row
      // could be purged while the URL can still write to its key. So the longest time of a call is added.
      urlSeconds: lifetimes.urlSeconds + MAX_TIMEOUT_MS / 1_000,
      multipartSeconds: multipart.lifeSeconds + MAX_TIMEOUT_MS / 1_000,
      announcesChanges: events !== undefined,
    },
    observe: { database: traceStep, storage: observeStorage(metrics, refusals) },
    breakers: { database: createBreakers(), storage: createBreakers() },
  };
}
