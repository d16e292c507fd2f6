import type { Config } from '../../config/config.ts';
import type { BackendOptions } from './backends.ts';
import { backendsForReconcile } from './for-reconcile.ts';

const CONNECT_TIMEOUT_MS = 10_000;

/** A statement that replays 100 files takes milliseconds, unless another session has locked one of their rows. */
const STATEMENT_TIMEOUT_MS = 30_000;

/** The options of Postgres and S3 for `npm run events`. It sends one statement at a time and does not use S3. */
export function backendsForEvents(config: Config): BackendOptions {
  return {
    ...backendsForReconcile(config),
    pool: {
      maxConnections: 1,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    },
  };
}
