import type { Logger } from 'pino';
import type { ObserveStep } from '../../files/ports/observer.ts';
import { refusalIn } from '../../files/refusal-error.ts';
import { type Breakers, ignoringOpen } from '../../overload/circuit-breaker.ts';
import type { Database } from '../../postgres/connection/database.ts';
import type { DatabaseAddress } from '../../postgres/connection/pool.ts';
import type { Explain } from '../../s3/answers/explain.ts';
import type { LocatedBucket } from '../../s3/bucket-location.ts';
import type { createClient } from '../../s3/client.ts';
import { createObjectStore } from '../../s3/objects.ts';
import { createSend } from '../../s3/send.ts';
import { createSignatureCheck } from '../../s3/signing/signature-check.ts';
import { checkWork } from './check-work.ts';
import { createDatabaseCheck } from './database-check.ts';

interface CheckedBackends {
  postgres: DatabaseAddress;
  /** Sends statements on the connections for calls. */
  database: Database;
  /** Whether the service delivers events, and needs the columns for them. Default: `false`. */
  announcesChanges?: boolean | undefined;
  log: Logger;
  client: ReturnType<typeof createClient>;
  bucket: LocatedBucket;
  /** Remembers the answers of S3 (`src/s3/answers/explain.ts`). Default: an `Explain` for the checks alone. */
  explain?: Explain;
  observe: Record<'database' | 'storage', ObserveStep>;
  breakers: Record<'database' | 'storage', Breakers>;
}

/**
 * Returns the checks for readiness. While a circuit breaker of a server (Postgres or S3) is open, calls to this server
 * fail at once, because it did not answer the last calls. A check is sent even then, and its first answer closes the
 * breaker.
 */
export function createChecks({ client, bucket, explain, observe, breakers, ...backends }: CheckedBackends) {
  const send = createSend(observe.storage, ignoringOpen(breakers.storage));
  const objects = createObjectStore(client, bucket, send, explain);
  const checkSignatures = createSignatureCheck(client, bucket);
  let signaturesAreChecked = false;
  return {
    ...createDatabaseCheck({ ...backends, observe: observe.database, breakers: breakers.database }),
    /** @throws if S3 does not answer, or refuses the request */
    async storage(): Promise<void> {
      const error: unknown = await objects.check(checkWork()).then(
        () => undefined,
        (cause) => cause,
      );
      // S3 has no write that changes nothing, so this check cannot test writes. If S3 answers, the breaker of writes
      // closes, and calls find out whether writes work. If writes still hang, calls wait in vain until the breaker
      // opens again. A refusal closes the breaker too, because it proves that S3 answers.
      if (error === undefined || refusalIn(error) !== undefined) breakers.storage.writes.onSuccess();
      if (error !== undefined) throw error;
    },
    /**
     * Whether S3 refuses a request with a wrong signature. After the first refusal, no further request is sent.
     *
     * @throws if S3 does not answer, or if its answer does not show whether it checks signatures
     */
    async signatures(): Promise<boolean> {
      signaturesAreChecked ||= await send(checkWork(), 'CheckSignatures', checkSignatures);
      return signaturesAreChecked;
    },
  };
}
