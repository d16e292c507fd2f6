/** Cross-origin rules: S3's own, in the very form that `aws s3api put-bucket-cors` takes, but fixed at the start. */

export interface CorsRule {
  /** `*` stands for any characters. S3 takes one in an origin; here there may be more. */
  readonly AllowedOrigins: string[];
  readonly AllowedMethods: string[];
  /** What a page may send beyond what browsers let every page send; `*` as above. */
  readonly AllowedHeaders?: string[];
  /** What a page may read beyond what browsers let every page read. */
  readonly ExposeHeaders?: string[];
  /** How long a browser may keep the answer to a preflight. */
  readonly MaxAgeSeconds?: number;
}

const hostsOfThisMachine = ['localhost', '*.localhost', '127.0.0.1', '[::1]'];

/** What the README gives for a bucket, to the pages of this machine: one that works here works there. */
export const defaultCorsRule: CorsRule = {
  AllowedOrigins: hostsOfThisMachine.flatMap((host) =>
    ['http', 'https'].flatMap((scheme) => [`${scheme}://${host}`, `${scheme}://${host}:*`]),
  ),
  AllowedMethods: ['PUT', 'GET'],
  AllowedHeaders: ['content-type', 'content-md5'],
  MaxAgeSeconds: 3600,
};

/** Of the answer to a request by a page; none, which hides the answer from the page, when no rule allows it. */
export function corsHeaders(
  rules: readonly CorsRule[],
  origin: string | undefined,
  method: string | undefined,
): Record<string, string> {
  return headersOf(ruleFor(rules, origin, method, []), origin);
}

/** `undefined` when no rule allows what the browser asks for. */
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

/** The first that allows all of it, as in S3. (Ceph RGW looks no further than the first of that origin and method.) */
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
