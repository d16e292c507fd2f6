import type { Config } from '../../config/config.ts';
import { observeStorage } from '../../observability/call-log.ts';
import type { Metrics } from '../../observability/metrics.ts';
import { traceStep } from '../../observability/tracing.ts';
import { createBreaker } from '../../overload/circuit-breaker.ts';
import { MAX_TIMEOUT_MS } from '../call-timeouts.ts';
import type { BackendOptions } from './backends.ts';

/** Time to get a free connection to Postgres, or to open a new one. */
const CONNECT_TIMEOUT_MS = 2_000;

/**
 * Statements take about a millisecond. A statement that takes this long waits for something that does not
 * happen.
 */
const STATEMENT_TIMEOUT_MS = 2_500;

/**
 * The service's own statements hold a row for milliseconds. Shorter than the statement timeout, so that the
 * caller learns the reason, and a locked row holds a connection for less time.
 */
const LOCK_TIMEOUT_MS = 1_000;

/** What the calls of users need of Postgres and S3: short time-outs, breakers, traces and metrics. */
export function backendsForCalls(config: Config, metrics: Metrics): BackendOptions {
  const { lifetimes, limits, multipart } = config;
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
      // The row's lifetime of a URL begins with the reservation, the URL's own lifetime up to one call later.
      // The row must outlive the URL, so the longest deadline of a call is added.
      urlSeconds: lifetimes.urlSeconds + MAX_TIMEOUT_MS / 1_000,
      multipartSeconds: multipart.lifeSeconds + MAX_TIMEOUT_MS / 1_000,
    },
    observe: { database: traceStep, storage: observeStorage(metrics) },
    breakers: { database: createBreaker(), storage: createBreaker() },
  };
}
