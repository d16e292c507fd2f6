import type { Work } from '../../files/call.ts';
import type { ObserveStep } from '../../files/ports/observer.ts';
import { type Breaker, ignoringOpen } from '../../overload/circuit-breaker.ts';
import { createDatabase } from '../../postgres/connection/database.ts';
import { createPool, type DatabaseAddress } from '../../postgres/connection/pool.ts';
import { schemaCheck } from '../../postgres/statements/reads.ts';
import type { BucketLocation } from '../../s3/bucket-location.ts';
import type { createClient } from '../../s3/client.ts';
import { createObjectStore } from '../../s3/objects.ts';
import { createSend } from '../../s3/send.ts';

/** Time for one readiness check of Postgres or of the bucket. */
const CHECK_TIMEOUT_MS = 1_000;

function checkWork(): Work {
  return { deadline: Date.now() + CHECK_TIMEOUT_MS };
}

interface CheckedBackends {
  postgres: DatabaseAddress;
  client: ReturnType<typeof createClient>;
  location: BucketLocation;
  observe: Record<'database' | 'storage', ObserveStep>;
  breakers: Record<'database' | 'storage', Breaker>;
}

/**
 * Checks for readiness, which are sent even while a breaker is open, and close it with the first answer.
 *
 * They have a connection of their own. If all connections for calls are busy, the instance must not leave the
 * load balancer: all instances may be busy at the same time.
 */
export function createChecks({ postgres, client, location, observe, breakers }: CheckedBackends) {
  const pool = createPool({
    ...postgres,
    maxConnections: 1,
    connectTimeoutMs: CHECK_TIMEOUT_MS,
    statementTimeoutMs: CHECK_TIMEOUT_MS,
    onIdleError: () => undefined,
  });
  const database = createDatabase(pool, observe.database, {
    ...postgres,
    statementTimeoutMs: CHECK_TIMEOUT_MS,
    breaker: ignoringOpen(breakers.database),
  });
  const send = createSend(observe.storage, ignoringOpen(breakers.storage));
  const objects = createObjectStore(client, location, send);
  return {
    /** @throws if Postgres does not answer, or has not the schema */
    async database(): Promise<void> {
      await database.run(checkWork(), schemaCheck, {});
    },
    /** @throws if the bucket cannot be reached */
    storage: (): Promise<void> => objects.check(checkWork()),
    stop: (): Promise<void> => pool.end(),
  };
}
