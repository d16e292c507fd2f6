/**
 * Reads DATABASE_URL in all forms that the library `pg` accepts. It also accepts three things that `pg` does not:
 * several hosts, separated by commas, as libpq accepts them; a password in which `/`, `#`, `?` or `@` is not
 * encoded; and the variables PGSSLMODE and PGSSLROOTCERT. The result is one URL for each host, in a form that `pg`
 * can read in only one way.
 */

export interface DatabaseUrl {
  /** One URL for each host. */
  urls: readonly string[];
  hasPassword: boolean;
  /** Whether the service must not use a server that refuses writes. */
  mustBeWritable: boolean;
}

/** The variables PGSSLMODE and PGSSLROOTCERT of libpq. `pg` reads them in part or not at all. */
interface TlsVariables {
  sslMode?: string | undefined;
  sslRootCert?: string | undefined;
}

/**
 * Thrown if DATABASE_URL is not usable. The message is the end of a sentence that begins with the name of the setting.
 * The message contains no part of a password.
 */
class DatabaseUrlError extends Error {
  override readonly name = 'DatabaseUrlError';
}

/**
 * Returns why the text is refused, as the end of a sentence that begins with the name of the setting. Returns
 * `undefined` if the text is accepted.
 */
export function databaseUrlProblem(text: string): string | undefined {
  try {
    parseDatabaseUrl(text);
    return undefined;
  } catch (error) {
    if (error instanceof DatabaseUrlError) return error.message;
    throw error;
  }
}

/** @throws DatabaseUrlError */
export function parseDatabaseUrl(text: string, tls: TlsVariables = {}): DatabaseUrl {
  // Instead of a URL, `pg` also accepts the path of a directory of Unix sockets, alone or with a blank and the name of
  // a database after it. Such a text passes unchanged.
  if (/^(\/|socket:)/.test(text)) return { urls: [text], hasPassword: false, mustBeWritable: false };
  const scheme = /^postgres(ql)?:\/\//.exec(text)?.[0];
  if (scheme === undefined) throw new DatabaseUrlError('must begin with postgres:// or postgresql://');
  const { user, password, hosts, path, query } = split(text.slice(scheme.length));
  const parameters = new URLSearchParams(query);
  const servers = serversOf(hosts, parameters);
  const mustBeWritable = takeSessionAttributes(parameters, servers.length);
  setTlsParameters(parameters, tls);
  const database = encodeURI(decode(path));
  const credentials = password === undefined ? encode(user) : `${encode(user)}:${encode(password)}`;
  const at = credentials === '' ? '' : `${credentials}@`;
  const urls = servers.map((server) => {
    const { address, own } = server.host.startsWith('/')
      ? atSocket(server, parameters)
      : atHost(server, parameters);
    return `postgres://${at}${address}/${database}${own.size === 0 ? '' : `?${own}`}`;
  });
  return { urls, hasPassword: (password ?? parameters.get('password') ?? '') !== '', mustBeWritable };
}

function atHost({ host, port }: Server, parameters: URLSearchParams) {
  return { address: port === '' ? host : `${host}:${port}`, own: parameters };
}

const TLS_PARAMETERS = [
  'ssl',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'sslnegotiation',
  'uselibpqcompat',
];

/**
 * In a URL, a directory of sockets cannot stand in the place of a host, so it becomes the parameter `host`. The
 * parameters of TLS are removed, because Postgres does not use TLS on a Unix socket.
 */
function atSocket({ host, port }: Server, parameters: URLSearchParams) {
  const own = new URLSearchParams(parameters);
  for (const name of TLS_PARAMETERS) own.delete(name);
  own.set('sslmode', 'disable');
  own.set('host', host);
  if (port !== '') own.set('port', port);
  return { address: '', own };
}

interface Parts {
  user: string;
  password: string | undefined;
  /** The hosts, each with its port if it has one, separated by commas. */
  hosts: string;
  path: string;
  query: string;
}

const HOST = String.raw`(?:\[[0-9a-fA-F:.]+\]|[^\s:,/?#@[\]]*)(?::\d*)?`;
const AFTER_USER = new RegExp(`^(${HOST}(?:,${HOST})*)(?:/([^/?#@]*))?(?:\\?((?:\\w+=[^&#]*&?)*))?$`);

/**
 * Splits a URL by the rules of URLs. If the URL does not match these rules, its password may contain
 * characters that should have been encoded. The password then ends at the last `@` that is followed by hosts.
 */
function split(rest: string): Parts {
  const end = rest.search(/[/?#]/);
  const authority = end === -1 ? rest : rest.slice(0, end);
  const at = authority.lastIndexOf('@');
  const found = partsAt(rest, at);
  if (found !== undefined) return found;
  for (let i = rest.lastIndexOf('@'); i > at; i = rest.lastIndexOf('@', i - 1)) {
    const parts = partsAt(rest, i);
    if (parts?.password !== undefined && !/[/?#]/.test(parts.user)) return parts;
  }
  throw new DatabaseUrlError(
    'must have the form postgres://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETER=VALUE, where HOST:PORT may be ' +
      'several, separated by commas. Write other characters of a password as %XX',
  );
}

/** @param at the position of the `@` after the user and the password; -1 if there is none */
function partsAt(rest: string, at: number): Parts | undefined {
  const match = AFTER_USER.exec(rest.slice(at + 1));
  if (match === null) return undefined;
  const [, hosts = '', path = '', query = ''] = match;
  const [user = '', ...more] = rest.slice(0, Math.max(at, 0)).split(':');
  const password = more.length === 0 ? undefined : more.join(':');
  return { user, password, hosts, path, query };
}

interface Server {
  host: string;
  port: string;
}

/** Removes `host` and `port` from the parameters. If they are set, they replace the hosts and ports of the URL. */
function serversOf(hosts: string, parameters: URLSearchParams): Server[] {
  const named = parameters.get('host');
  const ports = parameters.get('port')?.split(',');
  parameters.delete('host');
  parameters.delete('port');
  const list = named === null ? hosts.split(',').map(hostAndPort) : named.split(',').map(hostAlone);
  if (ports !== undefined && ports.length !== 1 && ports.length !== list.length) {
    throw new DatabaseUrlError(
      `has ${list.length} hosts and ${ports.length} ports: give one port, or one for each host`,
    );
  }
  const servers = list.map(({ host, port }, i) => ({ host, port: ports?.[i] ?? ports?.[0] ?? port }));
  if (servers.length > 1 && servers.some(({ host }) => host === '')) {
    throw new DatabaseUrlError('has an empty host among several');
  }
  for (const { port } of servers) {
    if (port !== '' && !(/^\d{1,5}$/.test(port) && Number(port) > 0 && Number(port) < 65_536)) {
      throw new DatabaseUrlError('has a port that is not a whole number from 1 to 65535');
    }
  }
  return servers;
}

function hostAndPort(text: string): Server {
  const [, host = '', port = ''] = /^(.*?)(?::(\d*))?$/.exec(text) ?? [];
  return { host: decode(host), port };
}

function hostAlone(text: string): Server {
  return { host: text.includes(':') && !text.startsWith('/') ? `[${text}]` : text, port: '' };
}

/**
 * The accepted values of `target_session_attrs`, and whether each demands a server that accepts writes. `any` also
 * accepts a standby, which answers reads and refuses writes.
 */
const SESSION_ATTRIBUTES: Readonly<Record<string, boolean>> = {
  any: false,
  'read-write': true,
  primary: true,
};

/**
 * Returns whether the server must accept writes. Without `target_session_attrs`, the server must accept them if
 * the URL names several servers, because the service writes and a standby would refuse its writes.
 */
function takeSessionAttributes(parameters: URLSearchParams, servers: number): boolean {
  const wanted = parameters.get('target_session_attrs');
  parameters.delete('target_session_attrs');
  if (wanted === null) return servers > 1;
  const mustBeWritable = Object.hasOwn(SESSION_ATTRIBUTES, wanted) ? SESSION_ATTRIBUTES[wanted] : undefined;
  if (mustBeWritable !== undefined) return mustBeWritable;
  throw new DatabaseUrlError(
    `has a target_session_attrs that is not one of ${Object.keys(SESSION_ATTRIBUTES).join(', ')}: the service writes`,
  );
}

export const SSL_MODES = [
  'disable',
  'no-verify',
  'allow',
  'prefer',
  'require',
  'verify-ca',
  'verify-full',
] as const;

/**
 * Some values of `sslmode` have one meaning in `pg` and another in libpq. This function chooses the meaning, so that no
 * certificate is accepted without a check, unless `no-verify` or the URL's own `uselibpqcompat=true` asks for that.
 * With a root certificate, `verify-ca` does not compare the host name, as in libpq; `pg` alone would compare it.
 */
function setTlsParameters(parameters: URLSearchParams, { sslMode, sslRootCert }: TlsVariables): void {
  const inUrl = parameters.get('sslmode');
  const mode = inUrl ?? (parameters.has('ssl') ? undefined : sslMode);
  if (mode !== undefined && !SSL_MODES.some((known) => known === mode)) {
    const where = inUrl === null ? 'PGSSLMODE' : 'sslmode';
    throw new DatabaseUrlError(`has ${where}=${mode}, which is not one of ${SSL_MODES.join(', ')}`);
  }
  const off = mode === 'disable' || ['0', 'false'].includes(parameters.get('ssl') ?? '');
  if (off) {
    for (const name of TLS_PARAMETERS) parameters.delete(name);
    parameters.set('sslmode', 'disable');
    return;
  }
  const rootCert = parameters.get('sslrootcert') ?? sslRootCert;
  // `system` means the authorities that Node trusts. `pg` would read a file with the name `system`.
  if (rootCert === undefined || rootCert === 'system') parameters.delete('sslrootcert');
  else parameters.set('sslrootcert', rootCert);
  if (mode === undefined && rootCert === 'system') parameters.set('sslmode', 'verify-full');
  if (mode === undefined || parameters.get('uselibpqcompat') === 'true') return;
  if (mode === 'verify-ca' && parameters.has('sslrootcert')) parameters.set('uselibpqcompat', 'true');
  const kept = mode === 'no-verify' || (mode === 'verify-ca' && parameters.has('sslrootcert'));
  parameters.set('sslmode', kept ? mode : 'verify-full');
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // the text has a percent sign that encodes nothing, so it stays as it is
  }
}

function encode(text: string): string {
  return encodeURIComponent(decode(text));
}
