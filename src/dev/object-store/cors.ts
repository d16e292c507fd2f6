/**
 * CORS rules with the semantics of S3, in the form that `aws s3api put-bucket-cors` takes. The rules are set
 * when the store starts, and do not change afterwards.
 */

export interface CorsRule {
  /** `*` matches any characters. S3 allows one `*` in an origin; this store allows more. */
  readonly AllowedOrigins: string[];
  readonly AllowedMethods: string[];
  /**
   * The request headers that a page may send in addition to the CORS-safelisted headers. `*` matches any
   * characters, as in `AllowedOrigins`.
   */
  readonly AllowedHeaders?: string[];
  /** The response headers that a page may read in addition to the CORS-safelisted headers. */
  readonly ExposeHeaders?: string[];
  /** How long a browser may cache the answer to a preflight, in seconds. */
  readonly MaxAgeSeconds?: number;
}

const HOSTS_OF_THIS_MACHINE = ['localhost', '*.localhost', '127.0.0.1', '[::1]'];

/**
 * The CORS rule that the README recommends for a bucket in S3, but with the origins of this machine. A page
 * that works with this store also works with a bucket that has the recommended rule.
 */
export const DEFAULT_CORS_RULE: CorsRule = {
  AllowedOrigins: HOSTS_OF_THIS_MACHINE.flatMap((host) =>
    ['http', 'https'].flatMap((scheme) => [`${scheme}://${host}`, `${scheme}://${host}:*`]),
  ),
  AllowedMethods: ['PUT', 'GET'],
  AllowedHeaders: ['content-type', 'content-md5', 'range'],
  // Uppy reads the ETag. pdf.js reads the others before it requests a document in ranges.
  ExposeHeaders: ['ETag', 'Accept-Ranges', 'Content-Range', 'Content-Length', 'Content-Encoding'],
  MaxAgeSeconds: 3600,
};

/**
 * The CORS headers of an answer. The result is empty when no rule allows the request. The browser then hides
 * the answer from the page.
 */
export function corsHeaders(
  rules: readonly CorsRule[],
  origin: string | undefined,
  method: string | undefined,
): Record<string, string> {
  return headersOf(ruleFor(rules, origin, method, []), origin);
}

/** The headers of the answer to a preflight. `undefined` when no rule allows the announced request. */
export function preflightHeaders(
  rules: readonly CorsRule[],
  origin: string | undefined,
  method: string | undefined,
  requestHeaders: string | undefined,
): Record<string, string> | undefined {
  const asked = (requestHeaders ?? '').split(',').map((name) => name.trim().toLowerCase());
  const names = asked.filter((name) => name !== '');
  const rule = ruleFor(rules, origin, method, names);
  if (rule === undefined) return undefined;
  return {
    ...headersOf(rule, origin),
    ...(names.length > 0 && { 'access-control-allow-headers': names.join(', ') }),
  };
}

/**
 * Returns the first rule that allows the origin, the method and all headers of the request, as S3 does.
 * (Ceph RGW checks the headers against only one rule: the first rule that allows the origin and the method.)
 */
function ruleFor(
  rules: readonly CorsRule[],
  origin: string | undefined,
  method: string | undefined,
  headers: readonly string[],
): CorsRule | undefined {
  if (origin === undefined || method === undefined) return undefined;
  return rules.find(
    ({ AllowedOrigins, AllowedMethods, AllowedHeaders = [] }) =>
      AllowedOrigins.some((pattern) => fits(pattern, origin)) &&
      AllowedMethods.includes(method) &&
      headers.every((name) => AllowedHeaders.some((pattern) => fits(pattern.toLowerCase(), name))),
  );
}

function headersOf(rule: CorsRule | undefined, origin: string | undefined): Record<string, string> {
  if (rule === undefined || origin === undefined) return {};
  const { AllowedMethods, ExposeHeaders = [], MaxAgeSeconds } = rule;
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-methods': AllowedMethods.join(', '),
    ...(ExposeHeaders.length > 0 && { 'access-control-expose-headers': ExposeHeaders.join(', ') }),
    ...(MaxAgeSeconds !== undefined && { 'access-control-max-age': `${MaxAgeSeconds}` }),
    vary: 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method',
  };
}

function fits(pattern: string, text: string): boolean {
  const pieces = pattern.split('*').map((piece) => piece.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${pieces.join('.*')}$`).test(text);
}
