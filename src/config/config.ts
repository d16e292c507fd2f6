/**
 * `src/config` turns the environment into values: `readConfig` checks every variable once at the start,
 * reports all problems together, and returns a `Config` that is passed on. Checks of one kind of setting
 * (loopback hosts, the header of the user id) and the StartupError belong here. Nothing here opens a file or
 * connects to a server, and `src/main.ts` passes the environment in.
 */
import { type CleanedEnv, cleanEnv, EnvError, EnvMissingError, makeValidator } from 'envalid';
import { PART_MAX_BYTES, PART_MIN_BYTES, PART_UNIT_BYTES, PARTS_MAX } from '../files/rules/part-plan.ts';
import { isLoopbackHost } from './loopback.ts';
import { StartupError } from './startup-error.ts';
import { userIdHeaderProblem } from './user-id-header.ts';

/** How the gateway proves its identity. */
export type GatewayProof =
  | { kind: 'none' }
  | { kind: 'token'; tokens: readonly string[] }
  /** Names in a verified client certificate, `DNS:…` or `URI:…`. The certificate must have one of them. */
  | { kind: 'mtls'; names: readonly string[] };

/** All settings of the service. They are read once, at the start. */
export interface Config {
  host: string;
  /** 0 means any free port. */
  grpcPort: number;
  httpPort: number;
  backend: BackendConfig;
  region: string;
  /** The endpoint in URLs, if clients reach S3 under another name than this service. */
  publicEndpoint: string | undefined;
  migrateOnStart: boolean;
  databasePoolSize: number;
  databasePooler: 'none' | 'transaction';
  userIdHeader: string;
  gateway: GatewayProof;
  /** Paths of PEM files. `clientCa` is set if the gateway proves its identity by a client certificate. */
  tls: { cert: string; key: string; clientCa: string | undefined } | undefined;
  lifetimes: {
    urlSeconds: number;
    downloadSeconds: number;
    verificationTtlSeconds: number;
    longestUploadSeconds: number;
  };
  multipart: {
    /** Bytes. Every part size is a multiple of this. */
    unitBytes: number;
    /** The size of the largest file in bytes. */
    maxBytes: number;
    /** How long an upload can be resumed after the last call that renewed it. */
    lifeSeconds: number;
  };
  /**
   * Per user, counting uploads whose URLs have not expired: one limit for uploads with a single PUT, one for
   * multipart uploads.
   */
  pendingUploadsMax: number;
  pendingMultipartUploadsMax: number;
  /** Concurrent calls of all users together. */
  concurrentCallsMax: number;
  sweepIntervalSeconds: number;
  /** How long the service still accepts calls after SIGTERM. */
  stopDelaySeconds: number;
  logLevel: LogLevel;
}

/**
 * The servers that store rows and bytes: external servers, or the embedded ones that the service starts for
 * development.
 */
export type BackendConfig =
  | { kind: 'embedded'; dataDirectory: string }
  | {
      kind: 'external';
      databaseUrl: string;
      bucket: string;
      endpoint: string | undefined;
      forcePathStyle: boolean;
    };

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Seven days, the longest lifetime of a SigV4 URL (Amazon S3 User Guide, "Presigned URLs"). */
const PRESIGN_TTL_MAX_SECONDS = 604_800;

/** Shorter tokens can be guessed. */
const TOKEN_MIN_CHARACTERS = 16;

const DNS_NAME = /^[a-z0-9-]+(\.[a-z0-9-]+)*$/;
const URI_NAME = /^[a-z][a-z0-9+.-]*:\/\/[\x21\x23-\x2b\x2d-\x7e]+$/;

const DAY_SECONDS = 86_400;

const wholeNumber = (min: number, max: number) =>
  makeValidator<number>((text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new EnvError(`must be a whole number from ${min} to ${max}`);
  });

const oneOf = <Choice extends string>(choices: readonly Choice[]) =>
  makeValidator<Choice>((text) => {
    const choice = choices.find((candidate) => candidate === text);
    if (choice !== undefined) return choice;
    throw new EnvError(`must be one of ${choices.join(', ')}`);
  });

/** The message does not repeat the value, because the value may contain a password. */
const urlOf = (protocols: readonly string[]) =>
  makeValidator<string>((text) => {
    if (URL.canParse(text) && protocols.includes(new URL(text).protocol)) return text;
    throw new EnvError(`must be a URL that begins with ${protocols.map((p) => `${p}//`).join(' or ')}`);
  });

const matching = (pattern: RegExp, rule: string) =>
  makeValidator<string>((text) => {
    if (pattern.test(text)) return text;
    throw new EnvError(rule);
  });

const tokens = makeValidator<string[]>((text) => {
  const list = text.split(',').map((token) => token.trim());
  if (list.every((token) => token.length >= TOKEN_MIN_CHARACTERS && /^[\x21-\x7e]+$/.test(token)))
    return list;
  throw new EnvError(
    `must be tokens of at least ${TOKEN_MIN_CHARACTERS} visible ASCII characters, separated by commas`,
  );
});

const names = makeValidator<string[]>((text) => {
  const list = text.split(',').map((name) => name.trim());
  if (list.every((name) => DNS_NAME.test(name) || URI_NAME.test(name))) return list;
  throw new EnvError('must be lower-case DNS names without a wildcard, or URIs, separated by commas');
});

const userIdHeader = makeValidator<string>((name) => {
  const problem = userIdHeaderProblem(name);
  if (problem === undefined) return name;
  throw new EnvError(problem);
});

const port = wholeNumber(0, 65_535);
const flag = oneOf(['true', 'false']);
const httpUrl = urlOf(['http:', 'https:']);
const text = matching(/\S/, 'must not be blank');

/**
 * All variables, with their rules, defaults and descriptions. The README's table is made from this one, and
 * test/readme.test.ts compares the two.
 */
export const VARIABLES = {
  HOST: text({ default: '127.0.0.1', desc: 'The address to listen on.' }),
  GRPC_PORT: port({
    default: 50_051,
    desc: 'The port of gRPC, with reflection and health. 0: any free port.',
  }),
  HTTP_PORT: port({
    default: 8_080,
    desc: 'The port of Connect, gRPC-Web, `/livez`, `/readyz` and `/metrics`. 0: any free port.',
  }),
  DATABASE_URL: urlOf(['postgres:', 'postgresql:'])({
    default: undefined,
    desc: 'The URL of Postgres. If DATABASE_URL and S3_BUCKET are unset, the service starts embedded servers for development.',
  }),
  DATABASE_POOL_SIZE: wholeNumber(
    1,
    1_000,
  )({
    default: 10,
    desc: 'How many connections to Postgres this instance uses for calls. Readiness checks use one more.',
  }),
  DATABASE_POOLER: oneOf(['none', 'transaction'])({
    default: 'none',
    desc: 'Set `transaction` if a pooler in transaction mode (pgbouncer) is between the service and Postgres: the service then keeps no state on a connection.',
  }),
  MIGRATE_ON_START: flag({
    default: undefined,
    desc: 'Whether to bring the schema up to date at the start. Default: `true` with the embedded Postgres, else `false`.',
  }),
  S3_BUCKET: matching(
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
    'must be the name of a bucket',
  )({
    default: undefined,
    desc: 'The bucket. Only this service may write to it.',
  }),
  S3_REGION: text({
    default: undefined,
    desc: 'The region of the bucket. Default: `AWS_REGION`, else `us-east-1`.',
  }),
  AWS_REGION: text({ default: 'us-east-1', desc: 'Used if S3_REGION is unset.' }),
  S3_ENDPOINT: httpUrl({ default: undefined, desc: 'The endpoint of an S3 server other than Amazon’s.' }),
  S3_PUBLIC_ENDPOINT: httpUrl({
    default: undefined,
    desc: 'The S3 endpoint in presigned URLs, if clients reach S3 under another name than this service.',
  }),
  S3_FORCE_PATH_STYLE: flag({
    default: 'false',
    desc: 'Whether URLs have the bucket in the path and not in the host name. Most servers other than Amazon’s need `true`.',
  }),
  USER_ID_HEADER: userIdHeader({
    default: 'x-user-id',
    desc: 'The metadata key in which the gateway names the user. Keys that HTTP, gRPC, browsers or proxies use for another purpose are refused.',
  }),
  GATEWAY_AUTH: oneOf(['none', 'token', 'mtls'])({
    default: 'none',
    desc: 'How the gateway proves its identity: `none` (on loopback only), `token`, or `mtls` (a client certificate).',
  }),
  GATEWAY_TOKENS: tokens({
    default: undefined,
    desc: 'With `token`: the accepted values of `x-gateway-token`, separated by commas. Set several during a rotation.',
  }),
  TLS_CERT_FILE: text({
    default: undefined,
    desc: 'The path of the service’s certificate and its chain in PEM. If set, both ports accept only TLS. This file and the next two are read again when they change.',
  }),
  TLS_KEY_FILE: text({ default: undefined, desc: 'The path of the private key of TLS_CERT_FILE in PEM.' }),
  TLS_CLIENT_CA_FILE: text({
    default: undefined,
    desc: 'With `mtls`: the path of the authorities of the gateway’s certificate in PEM.',
  }),
  TLS_ALLOWED_SANS: names({
    default: undefined,
    desc: 'With `mtls`: DNS names or URIs (such as SPIFFE ids), separated by commas. The gateway’s certificate must contain one of them exactly.',
  }),
  PRESIGN_TTL_SECONDS: wholeNumber(
    1,
    PRESIGN_TTL_MAX_SECONDS,
  )({
    default: 3_600,
    desc: 'The lifetime of an upload URL.',
  }),
  DOWNLOAD_TTL_SECONDS: wholeNumber(
    1,
    PRESIGN_TTL_MAX_SECONDS,
  )({
    default: 300,
    desc: 'The lifetime of a download URL.',
  }),
  VERIFICATION_TTL_SECONDS: wholeNumber(
    0,
    DAY_SECONDS,
  )({
    default: 900,
    desc: 'How long a verification in S3 stays valid. After that, creates, GetFile and downloads verify the object again.',
  }),
  LONGEST_UPLOAD_SECONDS: wholeNumber(
    0,
    7 * DAY_SECONDS,
  )({
    default: DAY_SECONDS,
    desc: 'The longest duration of a PUT that began before its URL expired. Rows are not purged earlier.',
  }),
  MULTIPART_TTL_SECONDS: wholeNumber(
    3_600,
    90 * DAY_SECONDS,
  )({
    default: 7 * DAY_SECONDS,
    desc: 'How long a multipart upload can be resumed after the last call that renewed it. Its parts are removed a day or more later.',
  }),
  MULTIPART_PART_BYTES: wholeNumber(
    PART_MIN_BYTES,
    PART_MAX_BYTES,
  )({
    default: PART_UNIT_BYTES,
    desc: 'Part sizes are multiples of this. Clients compute part sizes with the default, so change the value only for tests.',
  }),
  MULTIPART_MAX_BYTES: wholeNumber(
    1,
    PARTS_MAX * PART_MAX_BYTES,
  )({
    default: 5 * 1024 ** 4,
    desc: 'The size of the largest file in bytes. Every S3 server accepts 5 TiB; Amazon’s accepts more.',
  }),
  MAX_PENDING_UPLOADS: wholeNumber(
    1,
    32_767,
  )({
    default: 1_000,
    desc: 'How many uploads with a single PUT one user may have pending. A cancelled upload counts until its URL has expired.',
  }),
  MAX_PENDING_MULTIPART_UPLOADS: wholeNumber(
    1,
    32_767,
  )({
    default: 100,
    desc: 'How many multipart uploads one user may have pending. Each keeps up to 160 kB in Postgres until it is completed, cancelled or expired.',
  }),
  MAX_CONCURRENT_CALLS: wholeNumber(
    2,
    100_000,
  )({
    default: 512,
    desc: 'How many calls this instance runs concurrently. One user may use as many as are still free, so a single user gets half of them. Further calls are refused at once with OVERLOADED.',
  }),
  SWEEP_INTERVAL_SECONDS: wholeNumber(
    1,
    3_600,
  )({
    default: 5,
    desc: 'The sweeper’s mean pause between two rounds.',
  }),
  STOP_DELAY_SECONDS: wholeNumber(
    0,
    300,
  )({
    default: 1,
    desc: 'How long the service still accepts calls after SIGTERM while it reports that it is not ready. Load balancers need this time to notice.',
  }),
  DATA_DIR: text({
    default: '.data',
    desc: 'The directory of the embedded Postgres and object store. It must be private to the user that runs the service: the service refuses a directory that another user owns, or can write to or replace.',
  }),
  LOG_LEVEL: oneOf(LOG_LEVELS)({
    default: 'info',
    desc: 'The lowest level that is logged. Calls are logged at `debug`; slow and failed calls are always logged.',
  }),
};

/** Reports all problems of the environment together. */
export class ConfigError extends StartupError {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the configuration has problems:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

/**
 * Reads only its argument. An empty value counts as unset.
 *
 * @throws ConfigError that names every problem
 */
export function readConfig(environment: Record<string, string | undefined>): Config {
  const problems: string[] = [];
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const env = cleanEnv(given, VARIABLES, {
    reporter: ({ errors }) => {
      for (const [name, error] of Object.entries(errors)) {
        problems.push(`${name} ${error instanceof EnvMissingError ? 'is required' : error?.message}`);
      }
    },
  });
  // Rules across variables assume that each value is valid in itself.
  if (problems.length === 0) problems.push(...crossProblems(env));
  if (problems.length > 0) throw new ConfigError(problems);

  const { DATABASE_URL: databaseUrl, S3_BUCKET: bucket } = env;
  const embedded = databaseUrl === undefined || bucket === undefined;
  return {
    host: env.HOST,
    grpcPort: env.GRPC_PORT,
    httpPort: env.HTTP_PORT,
    backend: embedded
      ? { kind: 'embedded', dataDirectory: env.DATA_DIR }
      : {
          kind: 'external',
          databaseUrl,
          bucket,
          endpoint: env.S3_ENDPOINT,
          forcePathStyle: env.S3_FORCE_PATH_STYLE === 'true',
        },
    region: env.S3_REGION ?? env.AWS_REGION,
    publicEndpoint: env.S3_PUBLIC_ENDPOINT,
    migrateOnStart: env.MIGRATE_ON_START === undefined ? embedded : env.MIGRATE_ON_START === 'true',
    databasePoolSize: env.DATABASE_POOL_SIZE,
    databasePooler: env.DATABASE_POOLER,
    userIdHeader: env.USER_ID_HEADER,
    gateway: gatewayProof(env),
    tls:
      env.TLS_CERT_FILE === undefined || env.TLS_KEY_FILE === undefined
        ? undefined
        : { cert: env.TLS_CERT_FILE, key: env.TLS_KEY_FILE, clientCa: env.TLS_CLIENT_CA_FILE },
    lifetimes: {
      urlSeconds: env.PRESIGN_TTL_SECONDS,
      downloadSeconds: env.DOWNLOAD_TTL_SECONDS,
      verificationTtlSeconds: env.VERIFICATION_TTL_SECONDS,
      longestUploadSeconds: env.LONGEST_UPLOAD_SECONDS,
    },
    multipart: {
      unitBytes: env.MULTIPART_PART_BYTES,
      maxBytes: env.MULTIPART_MAX_BYTES,
      lifeSeconds: env.MULTIPART_TTL_SECONDS,
    },
    pendingUploadsMax: env.MAX_PENDING_UPLOADS,
    pendingMultipartUploadsMax: env.MAX_PENDING_MULTIPART_UPLOADS,
    concurrentCallsMax: env.MAX_CONCURRENT_CALLS,
    sweepIntervalSeconds: env.SWEEP_INTERVAL_SECONDS,
    stopDelaySeconds: env.STOP_DELAY_SECONDS,
    logLevel: env.LOG_LEVEL,
  };
}

type Env = CleanedEnv<typeof VARIABLES>;

function gatewayProof(env: Env): GatewayProof {
  switch (env.GATEWAY_AUTH) {
    case 'none':
      return { kind: 'none' };
    case 'token':
      return { kind: 'token', tokens: env.GATEWAY_TOKENS ?? [] };
    case 'mtls':
      return { kind: 'mtls', names: (env.TLS_ALLOWED_SANS ?? []).map(asInCertificate) };
  }
}

function asInCertificate(name: string): string {
  return `${URI_NAME.test(name) ? 'URI' : 'DNS'}:${name}`;
}

function* crossProblems(env: Env): Generator<string> {
  if (env.DATABASE_URL !== undefined && env.S3_BUCKET === undefined) {
    yield 'S3_BUCKET is required with DATABASE_URL (or unset both to use the embedded servers)';
  }
  if (env.S3_BUCKET !== undefined && env.DATABASE_URL === undefined) {
    yield 'DATABASE_URL is required with S3_BUCKET (or unset both to use the embedded servers)';
  }
  const partsMaxBytes =
    PARTS_MAX * Math.floor(PART_MAX_BYTES / env.MULTIPART_PART_BYTES) * env.MULTIPART_PART_BYTES;
  if (env.MULTIPART_MAX_BYTES > partsMaxBytes) {
    yield `MULTIPART_MAX_BYTES must be at most ${partsMaxBytes} with this MULTIPART_PART_BYTES, because no part may have more than 5 GiB`;
  }
  if (env.GATEWAY_AUTH === 'token' && env.GATEWAY_TOKENS === undefined) {
    yield 'GATEWAY_TOKENS is required with GATEWAY_AUTH=token';
  }
  for (const name of ['TLS_CERT_FILE', 'TLS_KEY_FILE', 'TLS_CLIENT_CA_FILE', 'TLS_ALLOWED_SANS'] as const) {
    if (env.GATEWAY_AUTH === 'mtls' && env[name] === undefined)
      yield `${name} is required with GATEWAY_AUTH=mtls`;
  }
  if (env.GATEWAY_AUTH !== 'mtls') {
    if (env.TLS_CERT_FILE === undefined && env.TLS_KEY_FILE !== undefined) {
      yield 'TLS_CERT_FILE is required with TLS_KEY_FILE';
    }
    if (env.TLS_KEY_FILE === undefined && env.TLS_CERT_FILE !== undefined) {
      yield 'TLS_KEY_FILE is required with TLS_CERT_FILE';
    }
    // A setting that would be ignored is an error, because the operator believes that client certificates are
    // checked.
    for (const name of ['TLS_CLIENT_CA_FILE', 'TLS_ALLOWED_SANS'] as const) {
      if (env[name] !== undefined) yield `${name} does nothing without GATEWAY_AUTH=mtls`;
    }
  }
  if (env.GATEWAY_AUTH === 'none' && !isLoopbackHost(env.HOST)) {
    yield `HOST must be a loopback address with GATEWAY_AUTH=none, and is ${env.HOST}: any client that reaches the service could act as any user (set GATEWAY_AUTH to token or mtls)`;
  }
}
