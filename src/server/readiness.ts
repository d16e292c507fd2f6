import type { Logger } from 'pino';
import type { Metrics } from '../observability/metrics.ts';
import type { Health } from '../rpc/health.ts';

/** The state of the two servers that the service needs: `true` while the server counts as available. */
export interface Readiness {
  readonly database: boolean;
  readonly storage: boolean;
}

export interface ReadinessOptions {
  /** @throws if the database cannot be used */
  checkDatabase: () => Promise<void>;
  /** @throws if the bucket cannot be used */
  checkStorage: () => Promise<void>;
  onChange: (readiness: Readiness, error: unknown) => void;
}

/**
 * The pause between two checks. The service is back in the load balancer about a second after Postgres is
 * available again, or earlier.
 */
const INTERVAL_MS = 1_000;

/**
 * Checks Postgres and S3 once a second and reports changes. A server that was available counts as lost only
 * after two failed checks in a row: a single slow check, which all instances may see at the same time, must
 * not empty the load balancer.
 */
export function createReadiness({ checkDatabase, checkStorage, onChange }: ReadinessOptions) {
  let current: Readiness = { database: false, storage: false };
  let last = current;
  let first = true;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  async function check(): Promise<void> {
    const [database, storage] = await Promise.allSettled([checkDatabase(), checkStorage()]);
    const seen = { database: database.status === 'fulfilled', storage: storage.status === 'fulfilled' };
    if (stopped) return;
    const next = {
      database: seen.database || (current.database && last.database),
      storage: seen.storage || (current.storage && last.storage),
    };
    last = seen;
    const changed = first || next.database !== current.database || next.storage !== current.storage;
    first = false;
    current = next;
    if (changed) {
      const failed = [database, storage].find((result) => result.status === 'rejected');
      onChange(next, failed?.reason);
    }
    timer = setTimeout(() => void check(), INTERVAL_MS);
  }

  return {
    get current() {
      return current;
    },
    /** Resolves after the first check, whatever its result. */
    start: check,
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

/** Reports a change of the readiness to the health checks of load balancers, to the metrics and to the log. */
export function reportReadiness(health: Health, log: Logger, metrics: Metrics): ReadinessOptions['onChange'] {
  return (now, error) => {
    // S3 does not count for readiness, because lists and deletes work without S3.
    health.set(now.database);
    metrics.serving.set(now.database ? 1 : 0);
    if (error === undefined) log.info(now, 'ready');
    else log.error({ ...now, err: error }, 'Postgres or S3 does not answer');
  };
}
