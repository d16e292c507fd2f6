/**
 * `src/server` builds the service out of the other folders, starts it and stops it. `startApp` (this file) shows all
 * steps of the construction: each step is a file beside this file. `backends/` opens Postgres and S3, for every command,
 * and `events/` builds the work for events. Decisions about files, calls or protocols do not belong here, nor do the
 * process's signals and environment (`src/process`).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { createOperations } from '../files/operations/operations.ts';
import { createObserver, recordStrayError } from '../observability/call-log.ts';
import { createMetrics } from '../observability/metrics.ts';
import { createRefusals } from '../observability/refusals.ts';
import { createHealth } from '../rpc/health.ts';
import { atMost } from './at-most.ts';
import { openBackends } from './backends/backends.ts';
import { backendsForCalls } from './backends/for-calls.ts';
import { openLoggedCertificates } from './certificates.ts';
import { createEndpoints } from './endpoints.ts';
import { createEvents } from './events/events.ts';
import { createPages } from './pages.ts';
import { createProtocolServers } from './protocols.ts';
import { createReadiness, reportReadiness } from './readiness.ts';
import { updateSchema } from './schema.ts';
import { createObservedSweeper } from './sweeping.ts';

export type App = Awaited<ReturnType<typeof startApp>>;

/** When the service stops, running calls have this time to finish: twice the default deadline of a call (3 s). */
const STOP_GRACE_MS = 6_000;

/** The composition root: the only function that knows all parts. It connects them and makes no decisions. */
export async function startApp(config: Config, log: Logger) {
  const metrics = createMetrics();
  const certificates = await openLoggedCertificates(config.tls, log);
  const refusals = createRefusals(log, metrics);
  const backends = await openBackends(config, log, backendsForCalls(config, metrics, refusals));
  metrics.watchPool(backends.pool, backends.database);
  const { objects, multipart, presigner } = backends;
  const events = createEvents(config.events, backends, log, metrics);
  const observer = createObserver(log, metrics);
  const ports = { store: events.store, objects, multipart, presigner, observer };
  const sweeper = createObservedSweeper(ports, config, log, metrics);
  const health = createHealth();
  const onChange = reportReadiness({ health, log, metrics, ...config.storage });
  const readiness = createReadiness(backends.checks, onChange);
  const pages = createPages(metrics, readiness, health, refusals);
  const endpoints = createEndpoints(config, backends, sweeper, log, metrics);
  const operations = createOperations(ports, config.multipart);
  const served = { operations, health, pages, endpoints, certificates };
  const servers = createProtocolServers(config, log, metrics, served);

  const stopping = new AbortController();
  /**
   * Resolves when the schema is up to date (if MIGRATE_ON_START asks for that) and Postgres and S3 have been
   * checked once. Until then the service is not ready. Rejects with a StartupError if the schema cannot be
   * brought up to date.
   */
  const prepare = async () => {
    if (config.database.migrateOnStart) await updateSchema(backends.postgres, log, stopping.signal);
    if (stopping.signal.aborted) return;
    sweeper.start();
    events.start();
    await readiness.start();
  };
  /**
   * Reports that the service is not ready, waits for `delayMs`, and then accepts no more calls. Lets the running
   * calls finish within STOP_GRACE_MS, and stops every part of the service.
   *
   * @param delayMs time for load balancers to notice that the service is not ready; calls are accepted until then
   */
  const stop = async (delayMs = 0) => {
    stopping.abort();
    readiness.stop();
    health.set(false);
    servers.announceStop();
    const swept = sweeper.stop();
    await sleep(delayMs);
    certificates?.stop();
    const work = Promise.all([swept, events.stop()]);
    await Promise.all([servers.stop(STOP_GRACE_MS), atMost(STOP_GRACE_MS, work)]);
    await backends.stop();
  };
  try {
    const listening = await servers.listen(config.listen);
    const onStrayError = recordStrayError(log, metrics);
    return { ...listening, certificates, sweeper, onStrayError, prepared: prepare(), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
