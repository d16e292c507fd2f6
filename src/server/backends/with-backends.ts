import type { Logger } from 'pino';
import type { Config } from '../../config/config.ts';
import { updateSchema } from '../schema.ts';
import { type BackendOptions, type Backends, openBackends } from './backends.ts';

/**
 * Runs a command of an operator on the backends, and closes them when the command has ended.
 *
 * The schema of an embedded Postgres is brought up to date first: `npm run migrate` refuses the embedded Postgres, and
 * the service may never have been started on it.
 */
export async function withBackends<Result>(
  config: Config,
  log: Logger,
  options: BackendOptions,
  signal: AbortSignal,
  run: (backends: Backends) => Promise<Result>,
): Promise<Result> {
  const backends = await openBackends(config, log, options);
  try {
    if (config.backend.kind === 'embedded') await updateSchema(backends.postgres, log, signal);
    return await run(backends);
  } finally {
    await backends.stop();
  }
}
