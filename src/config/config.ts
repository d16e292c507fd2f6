/**
 * `src/config` turns the environment into values: `readConfig` checks every variable once at the start,
 * reports all problems together, and returns a `Config` that is passed on. Checks of one kind of setting
 * (loopback hosts, the header of the user id) and the StartupError belong here. Nothing here opens a file or
 * connects to a server, and `src/process` passes the environment in.
 */
import { backendOf, backendProblems } from './backend.ts';
import { readTables, settingsOf, type ValuesOfTables } from './read-tables.ts';
import { BROWSERS } from './settings/browsers.ts';
import { DATABASE } from './settings/database.ts';
import { EVENTS, eventsProblems, eventsTarget } from './settings/events.ts';
import { GATEWAY, gatewayProblems, gatewayProof, tlsFiles } from './settings/gateway.ts';
import { LIFETIMES } from './settings/lifetimes.ts';
import { LIMITS } from './settings/limits.ts';
import { LISTEN } from './settings/listen.ts';
import { MULTIPART, multipartProblems } from './settings/multipart.ts';
import { OPERATION } from './settings/operation.ts';
import { STORAGE } from './settings/storage.ts';
import { parseUploadHeaders } from './upload-headers.ts';

const TABLES = {
  listen: LISTEN,
  database: DATABASE,
  storage: STORAGE,
  gateway: GATEWAY,
  browsers: BROWSERS,
  events: EVENTS,
  lifetimes: LIFETIMES,
  multipart: MULTIPART,
  limits: LIMITS,
  operation: OPERATION,
};

/**
 * All settings, in the order of the table in README.md. That table is made from this list, and
 * test/readme.test.ts compares the two.
 */
export const SETTINGS = settingsOf(TABLES);

type AllValues = ValuesOfTables<typeof TABLES>;

/**
 * Reads only its argument. An empty value counts as unset.
 *
 * @throws ConfigError that names every problem
 */
export function readConfig(environment: Record<string, string | undefined>): Config {
  return toConfig(readTables(TABLES, environment, problemsBetween));
}

function* problemsBetween({
  listen,
  database,
  storage,
  gateway,
  events,
  multipart,
}: AllValues): Generator<string> {
  yield* backendProblems(database, storage);
  yield* multipartProblems(multipart);
  yield* gatewayProblems(gateway, listen.host);
  yield* eventsProblems(events);
}

/**
 * All settings by subject. Settings that make sense only together are one value: `backend`, `gateway` and
 * `tls`.
 */
export type Config = ReturnType<typeof toConfig>;

function toConfig({ database, storage, gateway, events, operation, ...others }: AllValues) {
  const { poolSize, pooler, migrateOnStart } = database;
  const { publicEndpoint, region, awsRegion, uploadHeaders, allowUncheckedSignatures } = storage;
  const { dataDirectory, ...running } = operation;
  const backend = backendOf(database, storage, dataDirectory);
  return {
    ...others,
    backend,
    database: { poolSize, pooler, migrateOnStart: migrateOnStart ?? backend.kind === 'embedded' },
    storage: {
      publicEndpoint,
      region: region ?? awsRegion,
      allowUncheckedSignatures,
      uploadHeaders: uploadHeaders === undefined ? {} : parseUploadHeaders(uploadHeaders),
    },
    userIdHeader: gateway.userIdHeader,
    gateway: gatewayProof(gateway),
    tls: tlsFiles(gateway),
    events: eventsTarget(events),
    storageEventsToken: events.storageToken,
    operation: running,
  };
}
