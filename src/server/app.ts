/**
 * `src/server` builds the service out of the other folders and ends it in order: this file connects stores,
 * operations, servers and the sweeper; `backends.ts` opens Postgres and the bucket, or starts the embedded
 * ones; `readiness.ts` checks both once a second. Decisions about files, calls or protocols do not belong
 * here, nor do the process's signals and arguments (`src/main.ts`).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { StartupError } from '../config/startup-error.ts';
import { sweepOne } from '../files/maintenance/sweep.ts';
import { createSweeper, type Sweeper } from '../files/maintenance/sweeper.ts';
import { completeMultipartUpload } from '../files/operations/complete-multipart-upload.ts';
import { createMultipartUpload } from '../files/operations/create-multipart-upload.ts';
import { createPresignedDownload } from '../files/operations/create-presigned-download.ts';
import { createPresignedParts } from '../files/operations/create-presigned-parts.ts';
import { createPresignedUpload } from '../files/operations/create-presigned-upload.ts';
import { deleteFile } from '../files/operations/delete-file.ts';
import { getFile } from '../files/operations/get-file.ts';
import { listFiles } from '../files/operations/list-files.ts';
import { createObserver, observeStorage, recordCall, recordStrayError } from '../observability/call-log.ts';
import { createMetrics, type Metrics } from '../observability/metrics.ts';
import { traceCall, traceStep } from '../observability/tracing.ts';
import { createAdmission } from '../overload/admission.ts';
import { createBreaker, ignoringOpen } from '../overload/circuit-breaker.ts';
import { createDatabase, createPool } from '../postgres/connection/database.ts';
import { createFileStore } from '../postgres/file-store.ts';
import { migrateWhenReachable } from '../postgres/migrate.ts';
import { schemaCheck } from '../postgres/statements/reads.ts';
import { createCallGate } from '../rpc/call-gate.ts';
import { createFileService } from '../rpc/file-service.ts';
import { createGrpcServer } from '../rpc/grpc/server.ts';
import { createHealth, type Health } from '../rpc/health.ts';
import { onceInATurn } from '../rpc/http/once-in-a-turn.ts';
import { createHttpServer, type Page } from '../rpc/http/server.ts';
import { createIdentify } from '../rpc/identity.ts';
import { createMessageBudget } from '../rpc/limits/message-limits.ts';
import { openCertificates } from '../rpc/tls/certificates.ts';
import { createClient } from '../s3/client.ts';
import { withFairQueue } from '../s3/fair-object-store.ts';
import { createMultipartStore } from '../s3/multipart-uploads.ts';
import { createObjectStore } from '../s3/objects.ts';
import { createPresigner } from '../s3/presign.ts';
import { createSend } from '../s3/send.ts';
import { createSign } from '../s3/signing/sign.ts';
import { openBackends } from './backends.ts';
import { createReadiness } from './readiness.ts';

export interface App {
  grpcPort: number;
  httpPort: number;
  sweeper: Sweeper;
  /** Logs and counts an error that no call has caught. */
  onStrayError(error: unknown): void;
  /**
   * Resolves when the schema is up to date (if MIGRATE_ON_START asks for that) and Postgres and S3 have been
   * checked once. Until then the service is not ready. Rejects with a StartupError if the schema cannot be
   * brought up to date.
   */
  readonly prepared: Promise<void>;
  /**
   * Reports that the service is not ready, waits for the delay, accepts no more calls, finishes the calls
   * under way, and leaves nothing running.
   *
   * @param delayMs time for load balancers to notice; calls are still accepted meanwhile. Default: 0
   */
  stop(delayMs?: number): Promise<void>;
}

/** Deadline of a call that names none: how long a user in front of a screen waits. */
const DEFAULT_TIMEOUT_MS = 3_000;

/** The longest deadline that a caller may ask for. */
const MAX_TIMEOUT_MS = 30_000;

/** Time to get a free connection to Postgres, or to open a new one. */
const CONNECT_TIMEOUT_MS = 2_000;

/**
 * Statements take about a millisecond. A statement that takes this long waits for something that does not
 * happen.
 */
const STATEMENT_TIMEOUT_MS = 2_500;

/** Time for one readiness check of Postgres or of the bucket. */
const CHECK_TIMEOUT_MS = 1_000;

/** Time for calls under way when the service stops: twice the default deadline. */
const STOP_GRACE_MS = 6_000;

/**
 * Time to close the connections to Postgres. If Postgres does not answer, nothing is lost by ending without
 * it.
 */
const DISCONNECT_TIMEOUT_MS = 1_000;

/** The composition root: the only function that knows all parts. It connects them and makes no decisions. */
export async function startApp(config: Config, log: Logger): Promise<App> {
  const { lifetimes } = config;
  const { region, publicEndpoint } = config.storage;
  const metrics = createMetrics();
  const certificates =
    config.tls &&
    (await openCertificates(config.tls, {
      onReloaded: (notAfter) => log.info({ notAfter }, 'new certificates are in use'),
      onError: (error) =>
        log.error({ err: error }, 'new certificates cannot be used; the old certificates stay in use'),
    }));
  const backends = await openBackends(config.backend, region, log);

  const pool = createPool({
    url: backends.databaseUrl,
    pooler: config.database.pooler,
    maxConnections: config.database.poolSize,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    onIdleError: (error) => log.warn({ err: error }, 'an idle connection to Postgres broke'),
  });
  const databaseBreaker = createBreaker();
  const database = createDatabase(pool, traceStep, {
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    pooler: config.database.pooler,
    breaker: databaseBreaker,
  });
  metrics.watchPool(pool, database);
  const store = createFileStore(database, {
    ...lifetimes,
    ...config.limits,
    // The row's lifetime of a URL begins with the reservation, the URL's own lifetime up to one call later.
    // The row must outlive the URL, so the longest deadline of a call is added.
    urlSeconds: lifetimes.urlSeconds + MAX_TIMEOUT_MS / 1_000,
    multipartSeconds: config.multipart.lifeSeconds + MAX_TIMEOUT_MS / 1_000,
  });

  const location = { region, ...backends };
  const client = createClient(location);
  const storageBreaker = createBreaker();
  const observe = observeStorage(metrics);
  const send = createSend(observe, storageBreaker);
  const objects = createObjectStore(client, location, send);
  const multipart = createMultipartStore(client, backends.bucket, send);
  // Clients may reach S3 under another name than this service.
  const sign = createSign(client, { ...location, endpoint: publicEndpoint ?? backends.endpoint });
  const presigner = createPresigner(sign, {
    uploadSeconds: lifetimes.urlSeconds,
    downloadSeconds: lifetimes.downloadSeconds,
  });

  const ports = {
    store,
    objects: withFairQueue(objects),
    multipart,
    presigner,
    observer: createObserver(log, metrics),
  };
  const operations = {
    createPresignedUpload: createPresignedUpload(ports),
    listFiles: listFiles(ports),
    getFile: getFile(ports),
    deleteFile: deleteFile(ports),
    createPresignedDownload: createPresignedDownload(ports),
    createMultipartUpload: createMultipartUpload(ports, config.multipart),
    createPresignedParts: createPresignedParts(ports),
    completeMultipartUpload: completeMultipartUpload(ports),
  };
  const admission = createAdmission(config.limits.concurrentCallsMax);
  metrics.watchAdmission(admission);
  const onEnd = recordCall(log, metrics);
  const gate = createCallGate({
    identify: createIdentify({ userIdHeader: config.userIdHeader, proof: config.gateway }),
    admission,
    onEnd,
    defaultTimeoutMs: DEFAULT_TIMEOUT_MS,
    maxTimeoutMs: MAX_TIMEOUT_MS,
  });
  const budget = createMessageBudget();
  const fileService = createFileService(operations, { trace: traceCall, onEnd });

  // Readiness checks have a connection of their own. If all connections for calls are busy, the instance must
  // not leave the load balancer: all instances may be busy at the same time.
  const checkPool = createPool({
    url: backends.databaseUrl,
    pooler: config.database.pooler,
    maxConnections: 1,
    connectTimeoutMs: CHECK_TIMEOUT_MS,
    statementTimeoutMs: CHECK_TIMEOUT_MS,
    onIdleError: () => undefined,
  });
  const checks = createDatabase(checkPool, traceStep, {
    statementTimeoutMs: CHECK_TIMEOUT_MS,
    pooler: config.database.pooler,
    breaker: ignoringOpen(databaseBreaker),
  });
  const checkedObjects = createObjectStore(
    client,
    location,
    createSend(observe, ignoringOpen(storageBreaker)),
  );
  const health = createHealth();
  const readiness = createReadiness({
    checkDatabase: async () => void (await checks.run(schemaCheck, {}, Date.now() + CHECK_TIMEOUT_MS)),
    checkStorage: () => checkedObjects.check(Date.now() + CHECK_TIMEOUT_MS),
    onChange: (now, error) => {
      // S3 does not count for readiness, because lists and deletes work without S3.
      health.set(now.database);
      metrics.serving.set(now.database ? 1 : 0);
      if (error === undefined) log.info(now, 'ready');
      else log.error({ ...now, err: error }, 'Postgres or S3 does not answer');
    },
  });
  const sweeper = createSweeper({
    store,
    sweepOne: sweepOne(ports),
    intervalSeconds: config.operation.sweepIntervalSeconds,
    onSwept: (outcome) => metrics.swept.inc({ outcome }),
    onOverdue: (seconds) => metrics.oldestOverdueSeconds.set(seconds),
    onError: (error) => log.warn({ err: error }, 'the sweeper could not finish a step and will repeat it'),
  });
  const served = { fileService, gate, budget, certificates };
  const grpc = createGrpcServer({ ...served, health });
  const http = createHttpServer({
    ...served,
    pages: pages(metrics, readiness, health),
    loopbackOnly: config.gateway.kind === 'none',
  });

  const stopping = new AbortController();
  const prepare = async () => {
    if (config.database.migrateOnStart) await updateSchema();
    if (stopping.signal.aborted) return;
    sweeper.start();
    await readiness.start();
  };
  const updateSchema = async () => {
    const onWait = (error: unknown) => log.warn({ err: error }, 'the schema update waits for Postgres');
    try {
      await migrateWhenReachable(backends.databaseUrl, config.database.pooler, onWait, stopping.signal);
    } catch (error) {
      // A stop closes the connection to Postgres, which rolls the transaction back. The next start begins the
      // migration again.
      if (stopping.signal.aborted) return;
      throw new StartupError(`the schema cannot be brought up to date: ${(error as Error).message}`, {
        cause: error,
      });
    }
  };
  const stop = async (delayMs = 0) => {
    stopping.abort();
    readiness.stop();
    health.set(false);
    http.announceStop();
    const swept = sweeper.stop();
    await sleep(delayMs);
    certificates?.stop();
    await Promise.all([grpc.stop(STOP_GRACE_MS), http.stop(STOP_GRACE_MS), atMost(STOP_GRACE_MS, swept)]);
    await atMost(DISCONNECT_TIMEOUT_MS, Promise.all([pool.end(), checkPool.end()]));
    client.destroy();
    await backends.stop();
  };
  try {
    const grpcPort = await listening(grpc, 'GRPC_PORT', config.listen.host, config.listen.grpcPort);
    const httpPort = await listening(http, 'HTTP_PORT', config.listen.host, config.listen.httpPort);
    const onStrayError = recordStrayError(log, metrics);
    return { grpcPort, httpPort, sweeper, onStrayError, prepared: prepare(), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function atMost(milliseconds: number, work: Promise<unknown>): Promise<void> {
  await Promise.race([work, sleep(milliseconds, undefined, { ref: false })]);
}

/**
 * Starts a server. If the port is in use or reserved, or the address belongs to another machine, the operator
 * must change the setting, so the error is a StartupError.
 */
async function listening(
  server: { listen(host: string, port: number): Promise<number> },
  variable: string,
  host: string,
  port: number,
): Promise<number> {
  try {
    return await server.listen(host, port);
  } catch (error) {
    throw new StartupError(
      `cannot listen on port ${port} of ${host} (set ${variable} or HOST): ${(error as Error).message}`,
      { cause: error },
    );
  }
}

function pages(
  metrics: Metrics,
  readiness: ReturnType<typeof createReadiness>,
  health: Health,
): Record<string, Page> {
  return {
    '/livez': async () => ({ status: 200, contentType: 'text/plain', body: 'ok\n' }),
    '/readyz': async () => ({
      status: health.serving ? 200 : 503,
      contentType: 'application/json',
      body: `${JSON.stringify(readiness.current)}\n`,
    }),
    '/metrics': onceInATurn(async () => ({
      status: 200,
      contentType: metrics.registry.contentType,
      body: await metrics.registry.metrics(),
    })),
  };
}
