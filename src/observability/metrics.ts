import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

// The upper bounds of the histograms' buckets. The shortest calls run a cached plan in a Postgres on the same host. The
// longest calls are lists that wait for S3.
const CALL_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    calls: new Counter({
      name: 'files_calls_total',
      help: 'Calls that ended, by method, gRPC code and reason.',
      labelNames: ['method', 'code', 'reason'],
      registers,
    }),
    callSeconds: new Histogram({
      name: 'files_call_duration_seconds',
      help: 'Time from the request headers to the response.',
      labelNames: ['method', 'code'],
      buckets: CALL_BUCKETS_SECONDS,
      registers,
    }),
    storageCalls: new Counter({
      name: 'files_s3_calls_total',
      help: 'Calls to S3, by operation and outcome.',
      labelNames: ['operation', 'outcome'],
      registers,
    }),
    storageRefusals: new Counter({
      name: 'files_s3_refusals_total',
      help: 'Calls that S3 answered and refused, by operation, HTTP status and error code of S3.',
      labelNames: ['operation', 'status', 'code'],
      registers,
    }),
    storageSeconds: new Histogram({
      name: 'files_s3_call_duration_seconds',
      help: 'Duration of a call to S3, including its retries.',
      labelNames: ['operation'],
      buckets: CALL_BUCKETS_SECONDS,
      registers,
    }),
    swept: new Counter({
      name: 'files_swept_total',
      help: 'Rows that the sweeper processed, by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    oldestOverdueSeconds: new Gauge({
      name: 'files_oldest_overdue_seconds',
      help: 'Seconds by which the oldest due row is late. The value grows when the sweeper cannot keep up.',
      registers,
    }),
    events: new Counter({
      name: 'files_events_total',
      help: 'Deliveries of events to the consumer, by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    oldestEventAgeSeconds: new Gauge({
      name: 'files_oldest_event_age_seconds',
      help: 'Age of the oldest event that the consumer has not acknowledged. 0 if there is none, or events are off.',
      registers,
    }),
    contentMismatches: new Counter({
      name: 'files_content_mismatches_total',
      help: 'Objects that differ from what was announced: by another writer, a Content-Encoding, or another Content-Type.',
      registers,
    }),
    lost: new Counter({
      name: 'files_lost_total',
      help: 'READY files whose object was found missing: a person or a lifecycle rule removed it from the bucket.',
      registers,
    }),
    storageEvents: new Counter({
      name: 'files_storage_events_total',
      help: 'Messages of S3 at /storage-events, by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    strayErrors: new Counter({
      name: 'files_stray_errors_total',
      help: 'Errors that no call caught. Each is a bug. The service continues to run.',
      registers,
    }),
    signaturesUnchecked: new Gauge({
      name: 'files_s3_signatures_unchecked',
      help: '1 if S3 accepted a wrong signature in the check after the start, else 0.',
      registers,
    }),
    serving: new Gauge({ name: 'files_serving', help: '1 when the service is ready, else 0.', registers }),
    databaseWrites: new Gauge({
      name: 'files_postgres_writes',
      help: '1 while Postgres commits writes, else 0: its synchronous standby does not answer, or it is read-only.',
      registers,
    }),
    /** Registers gauges that read the running calls and their weights each time Prometheus fetches the metrics. */
    watchAdmission(admission: { callsUnderWay: number; weightUnderWay: number }): void {
      new Gauge({
        name: 'files_calls_under_way',
        help: 'Calls that were admitted and have not ended.',
        registers,
        collect() {
          this.set(admission.callsUnderWay);
        },
      });
      new Gauge({
        name: 'files_call_weight_under_way',
        help: 'The sum of the weights of these calls. At MAX_CONCURRENT_CALLS further calls are refused.',
        registers,
        collect() {
          this.set(admission.weightUnderWay);
        },
      });
    },
    /**
     * Registers a gauge that reads the pool of connections, and the queue of statements that wait for a connection,
     * each time Prometheus fetches the metrics.
     */
    watchPool(pool: { totalCount: number; idleCount: number }, queue: { waiting: number }): void {
      new Gauge({
        name: 'files_postgres_connections',
        help: 'Connections of the pool, by state. `waiting` counts statements that wait for a connection.',
        labelNames: ['state'],
        registers,
        collect() {
          this.set({ state: 'idle' }, pool.idleCount);
          this.set({ state: 'busy' }, pool.totalCount - pool.idleCount);
          this.set({ state: 'waiting' }, queue.waiting);
        },
      });
    },
  };
}
