import type { Logger } from 'pino';
import { refusalIn } from '../files/refusal-error.ts';
import type { Metrics } from '../observability/metrics.ts';
import { isSchemaBehind } from '../postgres/connection/error-classes.ts';
import type { Health } from '../rpc/health.ts';

/** The state of the two servers that the service needs. */
export interface Readiness {
  /** Whether Postgres serves reads. */
  readonly database: boolean;
  /** Whether Postgres takes and commits writes. */
  readonly databaseWrites: boolean;
  /** Whether S3 answers. */
  readonly storage: boolean;
  /** False if S3 has accepted a wrong signature. */
  readonly signatures: boolean;
}

/** The state of a database that serves reads. */
export interface DatabaseState {
  readonly writes: boolean;
}

interface ReadinessChecks {
  /** @throws if the database cannot serve reads */
  database: () => Promise<DatabaseState>;
  /** @throws if the bucket cannot be used */
  storage: () => Promise<void>;
  /** @returns whether S3 refuses wrong signatures @throws if that is not known */
  signatures: () => Promise<boolean>;
}

type OnReadinessChange = (readiness: Readiness, error: unknown) => void;

/**
 * The pause between two checks. When Postgres is available again, the service is ready after about a second at the
 * latest.
 */
const INTERVAL_MS = 1_000;

const STATES = ['database', 'databaseWrites', 'storage', 'signatures'] as const;

/**
 * Checks Postgres and S3 once a second and reports changes. A server that was available counts as unavailable only
 * after two failed checks in a row: a single slow check, which all instances may see at the same time, must
 * not empty the load balancer.
 */
export function createReadiness(checks: ReadinessChecks, onChange: OnReadinessChange) {
  let current: Readiness = { database: false, databaseWrites: false, storage: false, signatures: true };
  let last: Pick<Readiness, 'database' | 'storage'> = current;
  let first = true;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  async function check(): Promise<void> {
    const [database, storage, signatures] = await Promise.allSettled([
      checks.database(),
      checks.storage(),
      checks.signatures(),
    ]);
    const seen = {
      database: database.status === 'fulfilled',
      storage: storage.status === 'fulfilled',
      // If the check failed, S3 did not tell, so the last known result still counts (true before the first).
      signatures: signatures.status === 'fulfilled' ? signatures.value : current.signatures,
    };
    if (stopped) return;
    const next = {
      database: seen.database || (current.database && last.database),
      databaseWrites: current.databaseWrites,
      storage: seen.storage || (current.storage && last.storage),
      signatures: seen.signatures,
    };
    // Writes need no second failed check. They only count as unavailable if Postgres says that it is read-only, or
    // after several writes have failed.
    if (database.status === 'fulfilled') next.databaseWrites = database.value.writes;
    else if (!next.database) next.databaseWrites = false;
    last = seen;
    const changed = first || STATES.some((state) => next[state] !== current[state]);
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

interface Reporters {
  health: Health;
  log: Logger;
  metrics: Metrics;
  /** Whether the service may be ready although S3 accepts wrong signatures. */
  allowUncheckedSignatures: boolean;
}

/** Reports a change of the readiness to the health checks of load balancers, to the metrics and to the log. */
export function reportReadiness(reporters: Reporters): OnReadinessChange {
  const { health, log, metrics, allowUncheckedSignatures } = reporters;
  return (now, error) => {
    // An outage of S3 does not count for readiness, because lists and deletes work without S3. Writes to Postgres do
    // not count either, because lists, gets and downloads work without them. All instances see the same Postgres, so
    // the load balancer would have no instance left for these calls.
    const ready = now.database && (now.signatures || allowUncheckedSignatures);
    health.set(ready);
    metrics.serving.set(ready ? 1 : 0);
    metrics.databaseWrites.set(now.databaseWrites ? 1 : 0);
    metrics.signaturesUnchecked.set(now.signatures ? 0 : 1);
    if (!now.signatures) log.error(now, UNCHECKED_SIGNATURES);
    if (error !== undefined) log.error({ ...now, err: error }, messageOf(error));
    else if (!now.databaseWrites) log.error(now, 'Postgres answers reads, but does not commit writes');
    else if (ready) log.info(now, 'ready');
  };
}

function messageOf(error: unknown): string {
  if (refusalIn(error)) return 'S3 refuses requests';
  return isSchemaBehind(error) ? SCHEMA_BEHIND : 'Postgres or S3 does not answer';
}

const SCHEMA_BEHIND = 'the schema is missing or of an older release: run "npm run migrate"';

const UNCHECKED_SIGNATURES =
  'S3 accepts wrong signatures, so every client that reaches S3 can read and replace every file: use another server, or set S3_ALLOW_UNCHECKED_SIGNATURES=true if this one is a test double';
