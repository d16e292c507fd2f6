import type { Metrics } from '../observability/metrics.ts';
import type { Health } from '../rpc/health.ts';
import { coalescedPage } from '../rpc/http/coalesced-page.ts';
import type { Page } from '../rpc/http/server.ts';
import type { Readiness } from './readiness.ts';

/** The pages for orchestrators (`/livez`, `/readyz`) and metric scrapers (`/metrics`), by their paths. */
export function createPages(
  metrics: Metrics,
  readiness: { readonly current: Readiness },
  health: Health,
  refusals: { readonly current: string[] },
): Record<string, Page> {
  return {
    '/livez': async () => ({ status: 200, contentType: 'text/plain', body: 'ok\n' }),
    '/readyz': async () => ({
      status: health.serving ? 200 : 503,
      contentType: 'application/json',
      body: `${JSON.stringify(readinessPage(readiness.current, refusals.current))}\n`,
    }),
    '/metrics': coalescedPage(async () => ({
      status: 200,
      contentType: metrics.registry.contentType,
      // Bytes, so that all answers share them. Each answer would otherwise have a copy of 20 kB.
      body: Buffer.from(await metrics.registry.metrics()),
    })),
  };
}

/** Adds the refusals of S3 to the readiness, so that operators read on `/readyz` what S3 refuses and what to do. */
function readinessPage(readiness: Readiness, refusals: string[]) {
  return refusals.length === 0 ? readiness : { ...readiness, refusals };
}
