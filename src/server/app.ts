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
import { createMetrics, type Metrics, traceCall, traceStep } from '../observability/telemetry.ts';
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
  /** Writes down an error that no call has caught. */
  onStrayError(error: unknown): void;
  /**
   * Resolves when the schema is up to date, if that was asked for, and Postgres and S3 have been looked at once. Until
   * then it is not ready. Rejects with a StartupError when the schema cannot be brought up to date.
   */
  readonly prepared: Promise<void>;
  /**
   * Says that it leaves; after the delay takes no new calls, finishes those under way, and leaves nothing running.
   *
   * @param delayMs for load balancers to notice; calls are taken meanwhile. Default: 0
   */
  stop(delayMs?: number): Promise<void>;
}

/** For a call that names no deadline: what a user in front of a screen waits for. */
const DEFAULT_TIMEOUT_MS = 3_000;

/** The longest that a caller may ask for. */
const MAX_TIMEOUT_MS = 30_000;

/** For a free connection, a new one included. */
const CONNECT_TIMEOUT_MS = 2_000;

/** Statements take a millisecond; one that takes this long waits for something that does not come. */
const STATEMENT_TIMEOUT_MS = 2_500;

/** For a look at whether Postgres or the bucket answers at all. */
const CHECK_TIMEOUT_MS = 1_000;

/** What calls under way may still take when the service stops: twice what they are given by default. */
const STOP_GRACE_MS = 6_000;

/** For saying goodbye to Postgres; one that does not answer needs none. */
const DISCONNECT_TIMEOUT_MS = 1_000;

/** The composition root: the one place that sees everything. It puts together and decides nothing. */
export async function startApp(config: Config, log: Logger): Promise<App> {
  const { lifetimes, region, publicEndpoint } = config;
  const metrics = createMetrics();
  const certificates =
    config.tls &&
    (await openCertificates(config.tls, {
      onReloaded: (notAfter) => log.info({ notAfter }, 'new certificates'),
      onError: (error) => log.error({ err: error }, 'new certificates cannot be used; the old ones stay'),
    }));
  const backends = await openBackends(config.backend, region, log);

  const pool = createPool({
    url: backends.databaseUrl,
    pooler: config.databasePooler,
    maxConnections: config.databasePoolSize,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    onIdleError: (error) => log.warn({ err: error }, 'an idle connection to Postgres broke'),
  });
  const databaseBreaker = createBreaker();
  const database = createDatabase(pool, traceStep, {
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    pooler: config.databasePooler,
    breaker: databaseBreaker,
  });
  metrics.watchPool(pool, database);
  const store = createFileStore(database, {
    ...lifetimes,
    // The row's idea of a URL's life begins with the reservation, the URL's own up to a call later.
    urlSeconds: lifetimes.urlSeconds + MAX_TIMEOUT_MS / 1_000,
    multipartSeconds: config.multipart.lifeSeconds + MAX_TIMEOUT_MS / 1_000,
    pendingMax: config.pendingUploadsMax,
    pendingMultipartMax: config.pendingMultipartUploadsMax,
  });

  const location = { region, ...backends };
  const client = createClient(location);
  const storageBreaker = createBreaker();
  const observe = observeStorage(metrics);
  const send = createSend(observe, storageBreaker);
  const objects = createObjectStore(client, location, send);
  const multipart = createMultipartStore(client, backends.bucket, send);
  // Clients may know S3 by another name than this service.
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
  const admission = createAdmission(config.concurrentCallsMax);
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

  // A connection of its own: that all are busy is no reason to leave the load balancer, all instances at once.
  const checkPool = createPool({
    url: backends.databaseUrl,
    pooler: config.databasePooler,
    maxConnections: 1,
    connectTimeoutMs: CHECK_TIMEOUT_MS,
    statementTimeoutMs: CHECK_TIMEOUT_MS,
    onIdleError: () => undefined,
  });
  const checks = createDatabase(checkPool, traceStep, {
    statementTimeoutMs: CHECK_TIMEOUT_MS,
    pooler: config.databasePooler,
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
      // Without S3, lists and deletes still work: that is no reason to leave the load balancer.
      health.set(now.database);
      metrics.serving.set(now.database ? 1 : 0);
      if (error === undefined) log.info(now, 'ready');
      else log.error({ ...now, err: error }, 'not everything that the service needs answers');
    },
  });
  const sweeper = createSweeper({
    store,
    sweepOne: sweepOne(ports),
    intervalSeconds: config.sweepIntervalSeconds,
    onSwept: (outcome) => metrics.swept.inc({ outcome }),
    onOverdue: (seconds) => metrics.oldestOverdueSeconds.set(seconds),
    onError: (error) => log.warn({ err: error }, 'the sweeper could not finish a step; it comes again'),
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
    if (config.migrateOnStart) await updateSchema();
    if (stopping.signal.aborted) return;
    sweeper.start();
    await readiness.start();
  };
  const updateSchema = async () => {
    const onWait = (error: unknown) => log.warn({ err: error }, 'the schema waits for Postgres');
    try {
      await migrateWhenReachable(backends.databaseUrl, config.databasePooler, onWait, stopping.signal);
    } catch (error) {
      // A stop takes Postgres away from it, and the transaction with it; the next start begins anew.
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
    const grpcPort = await listening(grpc, 'GRPC_PORT', config.host, config.grpcPort);
    const httpPort = await listening(http, 'HTTP_PORT', config.host, config.httpPort);
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

/** A port that is taken, or reserved, or an address that is another machine's: all are for the operator to change. */
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
