/**
 * `src/server/backends` opens the connections to Postgres and S3 and builds the ports of `src/files` on them, once for
 * every command: `openBackends` serves calls, readiness checks, and (by `with-backends.ts`) `npm run reconcile`, `doctor`
 * and `events`. Apart from the migrations, only this folder makes a pool, an S3 client or a presigner. The caller passes
 * time-outs, observers and limits as options. Code about how a port works does not belong here, but in `src/postgres`
 * and `src/s3`.
 */
import type { Logger } from 'pino';
import type { Config } from '../../config/config.ts';
import type { ObserveStep } from '../../files/ports/observer.ts';
import { FAILURE_INTERVAL_MS, limitLines } from '../../observability/limit-lines.ts';
import { type Breakers, noopBreakers } from '../../overload/circuit-breaker.ts';
import { createDatabase } from '../../postgres/connection/database.ts';
import { createPool, type PoolOptions } from '../../postgres/connection/pool.ts';
import { createEventQueue } from '../../postgres/file-store/event-queue.ts';
import { createFileStore } from '../../postgres/file-store.ts';
import type { StoreLimits } from '../../postgres/store-limits.ts';
import { createExplain } from '../../s3/answers/explain.ts';
import { withFairQueue } from '../../s3/fair-send.ts';
import { createMultipartStore } from '../../s3/multipart-uploads.ts';
import { createObjectStore } from '../../s3/objects.ts';
import { createSend } from '../../s3/send.ts';
import { createSign } from '../../s3/signing/sign.ts';
import { createPresigner } from '../../s3/urls/presign.ts';
import { uploadHeaders } from '../../s3/urls/upload-headers.ts';
import { atMost } from '../at-most.ts';
import { createChecks } from './checks.ts';
import { openBucket } from './open-bucket.ts';
import { openStorageServers } from './storage-servers.ts';

export interface BackendOptions {
  pool: Pick<PoolOptions, 'maxConnections' | 'connectTimeoutMs' | 'statementTimeoutMs' | 'lockTimeoutMs'>;
  limits: StoreLimits;
  /** Set for commands: they use the embedded servers of a running service, if there is one. */
  sharesServers?: true;
  /** Observes each statement and each request to S3. Default: no observation. */
  observe?: Record<'database' | 'storage', ObserveStep>;
  /** While a circuit breaker is open, calls to its server fail at once. Default: breakers that never open. */
  breakers?: Record<'database' | 'storage', Breakers>;
}

export type Backends = Awaited<ReturnType<typeof openBackends>>;

/**
 * The longest time for closing the connections to Postgres. If Postgres does not answer, the process may end
 * without closing them, because no data is lost by this.
 */
const DISCONNECT_TIMEOUT_MS = 1_000;

const UNOBSERVED: ObserveStep = (_, run) => run();

export async function openBackends(config: Config, log: Logger, options: BackendOptions) {
  const {
    observe = { database: UNOBSERVED, storage: UNOBSERVED },
    breakers = { database: noopBreakers, storage: noopBreakers },
  } = options;
  const { region, publicEndpoint } = config.storage;
  const headers = uploadHeaders(config.storage.uploadHeaders);
  const servers = await openStorageServers(config.backend, region, log, options.sharesServers === true);

  const postgres = { ...servers.database, pooler: config.database.pooler };
  const idleLine = limitLines(FAILURE_INTERVAL_MS);
  const onIdleError = (error: Error) =>
    idleLine((unlogged) => log.warn({ err: error, unlogged }, 'an idle connection to Postgres broke'));
  const pool = createPool({ ...postgres, ...options.pool, onIdleError });
  const { statementTimeoutMs, lockTimeoutMs } = options.pool;
  const database = createDatabase(pool, observe.database, {
    statementTimeoutMs,
    lockTimeoutMs,
    pooler: config.database.pooler,
    breakers: breakers.database,
  });

  const { client, located, publicly } = await openBucket({ region, ...servers }, publicEndpoint);
  const send = withFairQueue(createSend(observe.storage, breakers.storage));
  const sign = createSign(client, publicly);
  const { urlSeconds, downloadSeconds } = config.lifetimes;
  const explain = createExplain(client, servers.bucket);
  const checks = createChecks({
    postgres,
    database,
    announcesChanges: options.limits.announcesChanges,
    log,
    client,
    bucket: located,
    explain,
    observe,
    breakers,
  });
  return {
    postgres,
    pool,
    database,
    store: createFileStore(database, options.limits),
    events: createEventQueue(database),
    client,
    located,
    publicly,
    bucket: servers.bucket,
    objects: createObjectStore(client, located, send, explain),
    multipart: createMultipartStore(client, servers.bucket, send, headers),
    presigner: createPresigner(sign, {
      uploadSeconds: urlSeconds,
      downloadSeconds,
      uploadHeaders: headers,
    }),
    checks,
    async stop(): Promise<void> {
      await atMost(DISCONNECT_TIMEOUT_MS, Promise.all([pool.end(), checks.stop()]));
      client.destroy();
      await servers.stop();
    },
  };
}
