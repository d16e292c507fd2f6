import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import type { Sweeper } from '../files/maintenance/sweeper.ts';
import { createStorageEvents } from '../hints/storage-events.ts';
import { limitLines } from '../observability/limit-lines.ts';
import type { Metrics } from '../observability/metrics.ts';
import { isSchemaBehind } from '../postgres/connection/error-classes.ts';
import type { JsonEndpointsOptions } from '../rpc/http/json-endpoint/json-endpoint.ts';
import type { Backends } from './backends/backends.ts';

/** The least time between two log lines about failed messages. The metric counts all of them. */
const LINE_INTERVAL_MS = 1_000;

/**
 * Creates the endpoints of the HTTP port, by their paths. `/storage-events` takes the messages of S3 about new objects.
 * Without STORAGE_EVENTS_TOKEN it is turned off.
 */
export function createEndpoints(
  { storageEventsToken: token }: Pick<Config, 'storageEventsToken'>,
  { store, bucket }: Pick<Backends, 'store' | 'bucket'>,
  sweeper: Pick<Sweeper, 'nudge'>,
  log: Logger,
  metrics: Metrics,
): JsonEndpointsOptions['endpoints'] {
  const path = '/storage-events';
  if (token === undefined) return { [path]: undefined };
  const line = limitLines(LINE_INTERVAL_MS);
  return {
    [path]: createStorageEvents({
      token,
      bucket,
      makeDue: (work, files) => store.makeDue(work, files),
      onDue: () => sweeper.nudge(),
      onMessage: (outcome) => metrics.storageEvents.inc({ outcome }),
      onError: (error) => {
        // The readiness check tells to migrate.
        if (isSchemaBehind(error)) return;
        line((unlogged) =>
          log.warn({ err: error, unlogged }, 'a message of S3 failed, and its sender must repeat it'),
        );
      },
    }),
  };
}
