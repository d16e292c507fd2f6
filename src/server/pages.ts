import type { Metrics } from '../observability/metrics.ts';
import type { Health } from '../rpc/health.ts';
import { coalescedPage } from '../rpc/http/coalesced-page.ts';
import type { Page } from '../rpc/http/server.ts';
import type { Readiness } from './readiness.ts';

/** The pages for orchestrators and scrapers, by their paths. */
export function createPages(
  metrics: Metrics,
  readiness: { readonly current: Readiness },
  health: Health,
): Record<string, Page> {
  return {
    '/livez': async () => ({ status: 200, contentType: 'text/plain', body: 'ok\n' }),
    '/readyz': async () => ({
      status: health.serving ? 200 : 503,
      contentType: 'application/json',
      body: `${JSON.stringify(readiness.current)}\n`,
    }),
    '/metrics': coalescedPage(async () => ({
      status: 200,
      contentType: metrics.registry.contentType,
      body: await metrics.registry.metrics(),
    })),
  };
}
