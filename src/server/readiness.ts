/** A part of the world that the service needs: `true` when it answered at the last look. */
export interface Readiness {
  readonly database: boolean;
  readonly storage: boolean;
}

export interface ReadinessOptions {
  /** @throws when the database cannot be used */
  checkDatabase: () => Promise<void>;
  /** @throws when the bucket cannot be used */
  checkStorage: () => Promise<void>;
  onChange: (readiness: Readiness, error: unknown) => void;
}

/** Within a second of Postgres's return the service is in the load balancer again. */
const INTERVAL_MS = 1_000;

/**
 * Looks at Postgres and S3 once a second, and tells when that changes something.
 * What answered is only taken for lost when it did not answer twice in a row: one
 * slow look, which all instances may have together, must not empty the load balancer.
 */
export function createReadiness({ checkDatabase, checkStorage, onChange }: ReadinessOptions) {
  let current: Readiness = { database: false, storage: false };
  let last = current;
  let first = true;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  async function look(): Promise<void> {
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
    timer = setTimeout(() => void look(), INTERVAL_MS);
  }

  return {
    get current() {
      return current;
    },
    /** Resolves after the first look, whatever it saw. */
    start: look,
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
