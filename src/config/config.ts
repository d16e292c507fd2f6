import { type CleanedEnv, cleanEnv, EnvError, EnvMissingError, makeValidator } from 'envalid';
import { PART_MAX_BYTES, PART_MIN_BYTES, PART_UNIT_BYTES, PARTS_MAX } from '../files/rules/part-plan.ts';
import { isLoopbackHost } from './loopback.ts';
import { StartupError } from './startup-error.ts';
import { userIdHeaderProblem } from './user-id-header.ts';

/** How the gateway proves that it is the gateway. */
export type GatewayProof =
  | { kind: 'none' }
  | { kind: 'token'; tokens: readonly string[] }
  /** Names of a verified client certificate, `DNS:…` or `URI:…`; one of them is enough. */
  | { kind: 'mtls'; names: readonly string[] };

/** Everything that can be set, read once. */
export interface Config {
  host: string;
  /** 0: any free one. */
  grpcPort: number;
  httpPort: number;
  backend: BackendConfig;
  region: string;
  /** Where clients reach S3, if by another name than this service. */
  publicEndpoint: string | undefined;
  migrateOnStart: boolean;
  databasePoolSize: number;
  databasePooler: 'none' | 'transaction';
  userIdHeader: string;
  gateway: GatewayProof;
  /** Paths. `clientCa` with a gateway that proves itself by its certificate. */
  tls: { cert: string; key: string; clientCa: string | undefined } | undefined;
  lifetimes: {
    urlSeconds: number;
    downloadSeconds: number;
    verificationTtlSeconds: number;
    longestUploadSeconds: number;
  };
  multipart: {
    /** Part sizes are multiples of it. */
    unitBytes: number;
    /** The largest file. */
    maxBytes: number;
    /** How long an upload is kept after it was last asked for. */
    lifeSeconds: number;
  };
  /** Per user, with living URLs: with a single PUT, and in parts. */
  pendingUploadsMax: number;
  pendingMultipartUploadsMax: number;
  /** At once, of all users. */
  concurrentCallsMax: number;
  sweepIntervalSeconds: number;
  /** From SIGTERM on, before it takes no new calls. */
  stopDelaySeconds: number;
  logLevel: LogLevel;
}

/** What keeps rows and bytes: servers of others, or those that the service brings for development. */
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

/** Seven days, what a SigV4 URL may live at most (Amazon S3 User Guide, "Presigned URLs"). */
const PRESIGN_TTL_MAX_SECONDS = 604_800;

/** A token of fewer characters can be guessed. */
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

/** The value is not repeated in the message: it may hold a password. */
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

/** The one table: a row per variable. The README's is made from it, and a test holds them together. */
export const VARIABLES = {
  HOST: text({ default: '127.0.0.1', desc: 'The address to listen on.' }),
  GRPC_PORT: port({ default: 50_051, desc: 'gRPC, with reflection and health. 0: any free port.' }),
  HTTP_PORT: port({
    default: 8_080,
    desc: 'Connect, gRPC-Web, `/livez`, `/readyz`, `/metrics`. 0: any free port.',
  }),
  DATABASE_URL: urlOf(['postgres:', 'postgresql:'])({
    default: undefined,
    desc: 'Postgres. Unset, with S3_BUCKET unset too: the service brings its own.',
  }),
  DATABASE_POOL_SIZE: wholeNumber(
    1,
    1_000,
  )({
    default: 10,
    desc: 'Connections to Postgres of this instance, for calls. Readiness has one of its own beside them.',
  }),
  DATABASE_POOLER: oneOf(['none', 'transaction'])({
    default: 'none',
    desc: '`transaction` with a pooler in transaction mode in between (pgbouncer): nothing is then kept on a connection.',
  }),
  MIGRATE_ON_START: flag({
    default: undefined,
    desc: 'Bring the schema up to date at the start. Default: `true` with the embedded Postgres, else `false`.',
  }),
  S3_BUCKET: matching(
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
    'must be the name of a bucket',
  )({
    default: undefined,
    desc: 'The bucket; it is the service’s alone.',
  }),
  S3_REGION: text({ default: undefined, desc: 'Default: `AWS_REGION`, else `us-east-1`.' }),
  AWS_REGION: text({ default: 'us-east-1', desc: 'See S3_REGION.' }),
  S3_ENDPOINT: httpUrl({ default: undefined, desc: 'Another S3 than Amazon’s.' }),
  S3_PUBLIC_ENDPOINT: httpUrl({
    default: undefined,
    desc: 'The endpoint in URLs, where clients reach S3 by another name than this service.',
  }),
  S3_FORCE_PATH_STYLE: flag({
    default: 'false',
    desc: 'The bucket in the path and not in the host name, as most other servers than Amazon’s want it.',
  }),
  USER_ID_HEADER: userIdHeader({
    default: 'x-user-id',
    desc: 'The metadata key in which the gateway names the user. None that HTTP, gRPC, browsers or proxies use for something else.',
  }),
  GATEWAY_AUTH: oneOf(['none', 'token', 'mtls'])({
    default: 'none',
    desc: 'How the gateway proves itself: `none` (on loopback only), `token`, or `mtls` (a client certificate).',
  }),
  GATEWAY_TOKENS: tokens({
    default: undefined,
    desc: 'With `token`: the values of `x-gateway-token` that are taken, separated by commas; several during a rotation.',
  }),
  TLS_CERT_FILE: text({
    default: undefined,
    desc: 'The service’s certificate and its chain, in PEM: both ports are then TLS alone. Read again when it changes, as the next two.',
  }),
  TLS_KEY_FILE: text({ default: undefined, desc: 'The private key of TLS_CERT_FILE, in PEM.' }),
  TLS_CLIENT_CA_FILE: text({
    default: undefined,
    desc: 'With `mtls`: the authorities of the gateway’s certificate, in PEM.',
  }),
  TLS_ALLOWED_SANS: names({
    default: undefined,
    desc: 'With `mtls`: names (DNS, or URI as SPIFFE has them) of which the gateway’s certificate must have one exactly, separated by commas.',
  }),
  PRESIGN_TTL_SECONDS: wholeNumber(
    1,
    PRESIGN_TTL_MAX_SECONDS,
  )({
    default: 3_600,
    desc: 'How long an upload URL lives.',
  }),
  DOWNLOAD_TTL_SECONDS: wholeNumber(
    1,
    PRESIGN_TTL_MAX_SECONDS,
  )({
    default: 300,
    desc: 'How long a download URL lives.',
  }),
  VERIFICATION_TTL_SECONDS: wholeNumber(
    0,
    DAY_SECONDS,
  )({
    default: 900,
    desc: 'How long a look at S3 is believed before EXISTING, GetFile and downloads look again.',
  }),
  LONGEST_UPLOAD_SECONDS: wholeNumber(
    0,
    7 * DAY_SECONDS,
  )({
    default: DAY_SECONDS,
    desc: 'How long a PUT that began in time may take. Nothing is forgotten before.',
  }),
  MULTIPART_TTL_SECONDS: wholeNumber(
    3_600,
    90 * DAY_SECONDS,
  )({
    default: 7 * DAY_SECONDS,
    desc: 'How long an upload in parts can be resumed after it was last asked for; a day or more later its parts are removed.',
  }),
  MULTIPART_PART_BYTES: wholeNumber(
    PART_MIN_BYTES,
    PART_MAX_BYTES,
  )({
    default: PART_UNIT_BYTES,
    desc: 'Part sizes are multiples of it. It is part of the contract with clients: change it for tests only.',
  }),
  MULTIPART_MAX_BYTES: wholeNumber(
    1,
    PARTS_MAX * PART_MAX_BYTES,
  )({
    default: 5 * 1024 ** 4,
    desc: 'The largest file. 5 TiB is what every S3 takes; Amazon’s takes more.',
  }),
  MAX_PENDING_UPLOADS: wholeNumber(
    1,
    32_767,
  )({
    default: 1_000,
    desc: 'How many uploads with a single PUT one user may have asked for and not made, while their URLs live; a cancelled one counts until then.',
  }),
  MAX_PENDING_MULTIPART_UPLOADS: wholeNumber(
    1,
    32_767,
  )({
    default: 100,
    desc: 'The same of uploads in parts, each of which keeps up to 160 kB in Postgres until it is completed, cancelled or given up.',
  }),
  MAX_CONCURRENT_CALLS: wholeNumber(
    2,
    100_000,
  )({
    default: 512,
    desc: 'How many calls this instance works on at once; a user gets as many as are free, so alone half of them. Others are refused at once, with OVERLOADED.',
  }),
  SWEEP_INTERVAL_SECONDS: wholeNumber(
    1,
    3_600,
  )({
    default: 5,
    desc: 'The sweeper’s pause when nothing is due.',
  }),
  STOP_DELAY_SECONDS: wholeNumber(
    0,
    300,
  )({
    default: 1,
    desc: 'How long after SIGTERM it still takes calls while it says that it is not ready: what load balancers need to notice.',
  }),
  DATA_DIR: text({
    default: '.data',
    desc: 'Where the embedded Postgres and object store keep everything. Private to the user that runs the service; refused when another user owns it, or can write or replace it.',
  }),
  LOG_LEVEL: oneOf(LOG_LEVELS)({
    default: 'info',
    desc: 'Calls are logged at `debug`, slow and failed ones always.',
  }),
};

/** What is wrong with the environment, all of it at once. */
export class ConfigError extends StartupError {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the configuration is wrong:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

/**
 * Pure: reads nothing but its argument. An empty value counts as unset.
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
  // Rules across variables speak of values that are good in themselves.
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
    yield 'S3_BUCKET is required with DATABASE_URL (or unset both, and the service brings its own)';
  }
  if (env.S3_BUCKET !== undefined && env.DATABASE_URL === undefined) {
    yield 'DATABASE_URL is required with S3_BUCKET (or unset both, and the service brings its own)';
  }
  const partsEnd =
    PARTS_MAX * Math.floor(PART_MAX_BYTES / env.MULTIPART_PART_BYTES) * env.MULTIPART_PART_BYTES;
  if (env.MULTIPART_MAX_BYTES > partsEnd) {
    yield `MULTIPART_MAX_BYTES must be at most ${partsEnd} with this MULTIPART_PART_BYTES: no part may be above 5 GiB`;
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
    // Whoever sets them believes that certificates are asked for.
    for (const name of ['TLS_CLIENT_CA_FILE', 'TLS_ALLOWED_SANS'] as const) {
      if (env[name] !== undefined) yield `${name} does nothing without GATEWAY_AUTH=mtls`;
    }
  }
  if (env.GATEWAY_AUTH === 'none' && !isLoopbackHost(env.HOST)) {
    yield `HOST must be a loopback address with GATEWAY_AUTH=none, and is ${env.HOST}: whoever reaches the service could speak for any user (set GATEWAY_AUTH to token or mtls)`;
  }
}
