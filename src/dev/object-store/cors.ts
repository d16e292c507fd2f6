/**
 * CORS rules with the semantics of S3, in the form of `aws s3api put-bucket-cors`. They are fixed at the
 * start.
 */

export interface CorsRule {
  /** `*` matches any characters. S3 allows one `*` in an origin; this store allows more. */
  readonly AllowedOrigins: string[];
  readonly AllowedMethods: string[];
  /**
   * The request headers that a page may send in addition to the CORS-safelisted headers. `*` matches as
   * above.
   */
  readonly AllowedHeaders?: string[];
  /** The response headers that a page may read in addition to the CORS-safelisted headers. */
  readonly ExposeHeaders?: string[];
  /** How long a browser may cache the answer to a preflight, in seconds. */
  readonly MaxAgeSeconds?: number;
}

const hostsOfThisMachine = ['localhost', '*.localhost', '127.0.0.1', '[::1]'];

/**
 * The rule that the README recommends for a bucket, for the pages of this machine. A page that works here
 * works there.
 */
export const defaultCorsRule: CorsRule = {
  AllowedOrigins: hostsOfThisMachine.flatMap((host) =>
    ['http', 'https'].flatMap((scheme) => [`${scheme}://${host}`, `${scheme}://${host}:*`]),
  ),
  AllowedMethods: ['PUT', 'GET'],
  AllowedHeaders: ['content-type', 'content-md5'],
  MaxAgeSeconds: 3600,
};

/**
 * The CORS headers of an answer. Empty when no rule allows the request: the browser then hides the answer.
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
 * The first rule that allows the whole request, as in S3. (Ceph RGW checks only the first rule of origin and
 * method.)
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
