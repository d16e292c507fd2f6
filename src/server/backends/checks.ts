import type { Logger } from 'pino';
import type { Work } from '../../files/call.ts';
import { FileError } from '../../files/file-error.ts';
import type { ObserveStep } from '../../files/ports/observer.ts';
import { type Breaker, ignoringOpen } from '../../overload/circuit-breaker.ts';
import { createDatabase, type Database } from '../../postgres/connection/database.ts';
import { isRefusal } from '../../postgres/connection/error-classes.ts';
import { createPool, type DatabaseAddress } from '../../postgres/connection/pool.ts';
import { schemaCheck } from '../../postgres/statements/reads.ts';
import type { LocatedBucket } from '../../s3/bucket-location.ts';
import type { createClient } from '../../s3/client.ts';
import { createObjectStore } from '../../s3/objects.ts';
import { createSend } from '../../s3/send.ts';
import { createSignatureCheck } from '../../s3/signing/signature-check.ts';

/** Time for one readiness check of Postgres or of the bucket. */
const CHECK_TIMEOUT_MS = 1_000;

/**
 * How many checks use a connection before it is closed. The check after them opens a new connection, so it notices
 * when calls could not open one.
 */
const CONNECTION_USES = 2;

function checkWork(): Work {
  return { deadline: Date.now() + CHECK_TIMEOUT_MS };
}

interface CheckedBackends {
  postgres: DatabaseAddress;
  /** Sends statements on the connections for calls. */
  database: Database;
  log: Logger;
  client: ReturnType<typeof createClient>;
  bucket: LocatedBucket;
  observe: Record<'database' | 'storage', ObserveStep>;
  breakers: Record<'database' | 'storage', Breaker>;
}

/**
 * Returns the checks for readiness. A check is sent even while the breaker of its server is open. The first answer
 * closes the breaker.
 */
export function createChecks(backends: CheckedBackends) {
  const { client, bucket, observe, breakers } = backends;
  const send = createSend(observe.storage, ignoringOpen(breakers.storage));
  const objects = createObjectStore(client, bucket, send);
  const checkSignatures = createSignatureCheck(client, bucket);
  let signaturesAreChecked = false;
  return {
    ...createDatabaseCheck(backends),
    /** @throws if the bucket cannot be reached */
    storage: (): Promise<void> => objects.check(checkWork()),
    /**
     * Whether S3 refuses a request with a wrong signature. After the first refusal, no further request is sent.
     *
     * @throws if S3 does not answer, or with something that does not tell
     */
    async signatures(): Promise<boolean> {
      signaturesAreChecked ||= await send(checkWork(), 'CheckSignatures', checkSignatures);
      return signaturesAreChecked;
    },
  };
}

/**
 * Returns the check of Postgres, which has a connection of its own. So the check succeeds even if all connections for
 * calls are busy. A busy instance must not leave the load balancer, because all instances may be busy at the same time.
 */
function createDatabaseCheck({ postgres, database, log, observe, breakers }: CheckedBackends) {
  const ownPool = createPool({
    ...postgres,
    maxConnections: 1,
    usesMax: CONNECTION_USES,
    connectTimeoutMs: CHECK_TIMEOUT_MS,
    statementTimeoutMs: CHECK_TIMEOUT_MS,
    onIdleError: () => undefined,
  });
  const own = createDatabase(ownPool, observe.database, {
    ...postgres,
    statementTimeoutMs: CHECK_TIMEOUT_MS,
    breaker: ignoringOpen(breakers.database),
  });
  let wasRefused = false;
  return {
    /** @throws if Postgres does not answer, or does not have the schema, or refuses the connections that calls need */
    async database(): Promise<void> {
      const [ownError, callError] = await Promise.all(
        [own, database].map((one) => one.run(checkWork(), schemaCheck, {}).then(() => undefined, causeOf)),
      );
      // `database` uses the connections for calls. If Postgres refuses a new connection, a statement waits
      // for a connection that is already open. So if `callError` is a refusal, no connection is open, and
      // calls would be refused, too.
      if (isRefusal(callError)) throw callError;
      // The check often opens a new connection. That connection may fail, or take too long, while the
      // connections that are already open serve calls. So `ownError` alone does not make the check fail.
      if (ownError !== undefined && callError !== undefined) throw ownError;
      const refused = isRefusal(ownError);
      if (refused && !wasRefused) log.warn({ err: ownError }, 'no new connection to Postgres');
      wasRefused = refused;
    },
    stop: (): Promise<void> => ownPool.end(),
  };
}

function causeOf(error: unknown): unknown {
  return error instanceof FileError ? (error.cause ?? error) : error;
}
