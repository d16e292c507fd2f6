/** Cross-origin rules, fixed: pages served from this machine may do everything, and read what an upload needs. */

const fromThisMachine = /^https?:\/\/(localhost|[a-z0-9-]+\.localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/;

/** Browsers hide all but a few headers from a page unless they are named here; a multipart upload needs ETag. */
const exposed = ['ETag', 'Content-Range', 'Content-Disposition', 'x-amz-request-id'];

/** How long a browser may keep the answer to a preflight. */
const maxAgeSeconds = 3000;

export function corsHeaders(origin: string | undefined): Record<string, string> {
  if (origin === undefined || !fromThisMachine.test(origin)) return {};
  return {
    'access-control-allow-origin': origin,
    'access-control-expose-headers': exposed.join(', '),
    vary: 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method',
  };
}

/** `undefined` when the origin, or the method, has nothing to ask for here. */
export function preflightHeaders(
  origin: string | undefined,
  method: string | undefined,
  requestHeaders: string | undefined,
): Record<string, string> | undefined {
  const allowed = corsHeaders(origin);
  const isKnownMethod = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'].includes(method ?? '');
  if (!isKnownMethod || allowed['access-control-allow-origin'] === undefined) return undefined;
  return {
    ...allowed,
    'access-control-allow-methods': method ?? '',
    'access-control-allow-headers': requestHeaders ?? '',
    'access-control-max-age': `${maxAgeSeconds}`,
  };
}
