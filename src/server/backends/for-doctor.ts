import type { Config } from '../../config/config.ts';
import type { ProbedDatabase } from '../../doctor/postgres/probed-database.ts';
import { createCommand } from '../../doctor/s3/bucket/create-command.ts';
import { openProbedBucket } from '../../doctor/s3/open-probed-bucket.ts';
import { createSendProbe } from '../../doctor/s3/send.ts';
import { createTraces } from '../../doctor/s3/traces.ts';
import { KEPT_BY_POOLERS, PINNED } from '../../postgres/connection/session-settings.ts';
import { downloadOverrides } from '../../s3/urls/download-overrides.ts';
import { uploadHeaders } from '../../s3/urls/upload-headers.ts';
import type { Backends } from './backends.ts';
import { backendsForReconcile } from './for-reconcile.ts';

const CONNECT_TIMEOUT_MS = 2_000;
const STATEMENT_TIMEOUT_MS = 2_500;
const CONNECTIONS_MAX = 4;

/**
 * The options of Postgres and S3 for `npm run doctor`, which tests whether they suit the service. It runs short
 * statements and no operation of the service.
 */
export function backendsForDoctor(config: Config) {
  return {
    ...backendsForReconcile(config),
    pool: {
      maxConnections: CONNECTIONS_MAX,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    },
  };
}

/**
 * Returns the bucket with the functions by which the doctor probes it.
 *
 * @param origin the origin of the pages that upload; `undefined` if the doctor examines no uploads from pages
 * @param signal after an abort, the bucket gets no further probe
 */
export function probedBucket(
  { client, located, publicly }: Backends,
  config: Config,
  origin: string | undefined,
  signal: AbortSignal,
) {
  const sendProbe = createSendProbe(client, located);
  const sendPublicProbe = createSendProbe(client, publicly);
  const endpoint = config.backend.kind === 'external' ? config.backend.endpoint : undefined;
  const traces = createTraces(sendProbe);
  const settings = {
    bucket: located.bucket,
    uploadHeaders: uploadHeaders(config.storage.uploadHeaders),
    downloadQuery: downloadOverrides({ filename: 'doctor.bin', mimeType: 'application/octet-stream' }),
    multipartSeconds: config.multipart.lifeSeconds,
    createCommand: createCommand(located, endpoint),
    origin,
  };
  return { bucket: openProbedBucket({ sendProbe, sendPublicProbe }, settings, traces, signal), traces };
}

export function probedDatabase({ pool }: Backends, { database, events }: Config): ProbedDatabase {
  const { pooler, poolSize } = database;
  return {
    query: async (text) => (await pool.query(text)).rows,
    async hasPooler() {
      const client = await pool.connect();
      try {
        const { rows } = await client.query('select pg_backend_pid() as pid');
        // A pooler sends its clients a number of its own instead of the id of the Postgres process.
        return (client as unknown as { processID: number }).processID !== rows[0].pid;
      } finally {
        client.release();
      }
    },
    settings: {
      pooler,
      deliversEvents: events !== undefined,
      connections: poolSize + 2,
      session: pooler === 'transaction' ? KEPT_BY_POOLERS : PINNED,
    },
  };
}
