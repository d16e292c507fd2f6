/**
 * Decides in which header the gateway (the trusted caller) may name the user. A header that already has another meaning
 * is refused, because the client itself may have set its value. Some headers are refused because Node keeps only one
 * value if a request has them twice: a client that adds such a header before the gateway's header could act as another
 * user. If a request has any other header twice, Node joins the values with a comma. No user id contains a comma, so
 * the request is refused.
 */

const NAME = /^[a-z][a-z0-9-]{0,63}(?<!-bin)$/;

/** A name that ends in `*` stands for all names that begin with the text before it. */
const DENIED: readonly { because: string; names: readonly string[] }[] = [
  {
    // The headers of which Node keeps only one value, over HTTP/1 or over HTTP/2. Node's documentation lists them only
    // for HTTP/1, so this list was measured: test/rpc/user-id-header.test.ts sends two values of every header that Node
    // knows.
    because: 'two values of it reach the service as one, so one user could pass for another',
    names: [
      ...['access-control-allow-credentials', 'access-control-max-age', 'access-control-request-method'],
      ...['age', 'authorization', 'content-encoding', 'content-language', 'content-length'],
      ...['content-location', 'content-md5', 'content-range', 'content-type', 'cookie', 'date', 'dnt'],
      ...['etag', 'expires', 'from', 'host', 'if-match', 'if-modified-since', 'if-none-match', 'if-range'],
      ...['if-unmodified-since', 'last-modified', 'location', 'max-forwards', 'proxy-authorization', 'range'],
      ...['referer', 'retry-after', 'server', 'set-cookie', 'tk', 'upgrade-insecure-requests', 'user-agent'],
      'x-content-type-options',
    ],
  },
  {
    because: 'it belongs to one connection, so proxies remove it, and HTTP/2 forbids most such headers',
    names: [
      ...['connection', 'expect', 'http2-settings', 'keep-alive', 'proxy-*', 'te', 'trailer'],
      ...['transfer-encoding', 'upgrade'],
    ],
  },
  { because: 'it holds the proof of the gateway', names: ['x-gateway-token'] },
  {
    because: 'it belongs to gRPC, Connect, gRPC-Web or tracing',
    names: [
      ...['accept', 'accept-*', 'baggage', 'connect-*', 'content-*', 'grpc-*', 'traceparent', 'tracestate'],
      ...['x-grpc-web', 'x-user-agent'],
    ],
  },
  {
    // The `x-forwarded-*` headers of authenticating proxies are allowed: x-forwarded-user names the user whom
    // the proxy has authenticated.
    because: 'proxies add to what the client sent, so its value may be the client’s own',
    names: [
      ...['forwarded', 'via', 'x-forwarded-by', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-port'],
      ...['x-forwarded-prefix', 'x-forwarded-proto', 'x-forwarded-server', 'x-real-ip'],
    ],
  },
  {
    because: 'clients and browsers set it for another purpose',
    names: [
      ...['access-control-*', 'allow', 'alt-svc', 'alt-used', 'cache-control', 'early-data', 'expect-ct'],
      ...['link', 'origin', 'pragma', 'prefer', 'priority', 'purpose', 'refresh', 'save-data', 'sec-*'],
      ...['strict-transport-security', 'timing-allow-origin', 'vary', 'warning', 'www-authenticate'],
      ...['x-frame-options', 'x-requested-with', 'x-xss-protection'],
    ],
  },
];

/**
 * Returns why the header cannot name the user, as the end of a sentence that begins with the setting's name;
 * `undefined` if the header can.
 */
export function userIdHeaderProblem(name: string): string | undefined {
  if (!NAME.test(name)) return 'must be a lower-case metadata key that does not end in -bin';
  const denied = DENIED.find(({ names }) => names.some((pattern) => matches(pattern, name)));
  return denied && `must not be ${name}: ${denied.because}`;
}

/** The denied headers. test/rpc/user-id-header.test.ts checks each of them. */
export const DENIED_USER_ID_HEADERS = DENIED.flatMap(({ names }) => names);

function matches(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}
