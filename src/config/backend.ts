import { type DatabaseUrl, parseDatabaseUrl } from './database-url.ts';
import type { Values } from './setting.ts';
import type { DATABASE } from './settings/database.ts';
import type { STORAGE } from './settings/storage.ts';

/** Where Postgres is. */
export interface DatabaseAddress extends Pick<DatabaseUrl, 'urls' | 'mustBeWritable'> {
  /** The path of a file with the password. If it is undefined, the service uses the password in the URLs. */
  passwordFile: string | undefined;
}

/**
 * The servers that store rows and bytes: external servers, or the embedded ones that the service starts for
 * development.
 */
export type BackendConfig =
  | { kind: 'embedded'; dataDirectory: string }
  | {
      kind: 'external';
      database: DatabaseAddress;
      bucket: string;
      endpoint: string | undefined;
      forcePathStyle: boolean;
    };

type Database = Pick<Values<typeof DATABASE>, 'url' | 'passwordFile' | 'sslMode' | 'sslRootCert'>;
type Bucket = Pick<Values<typeof STORAGE>, 'bucket' | 'endpoint' | 'forcePathStyle'>;

export function backendOf(database: Database, storage: Bucket, dataDirectory: string): BackendConfig {
  const { bucket, endpoint, forcePathStyle } = storage;
  if (database.url === undefined || bucket === undefined) return { kind: 'embedded', dataDirectory };
  const { urls, mustBeWritable } = parseDatabaseUrl(database.url, database);
  const address = { urls, mustBeWritable, passwordFile: database.passwordFile };
  return { kind: 'external', database: address, bucket, endpoint, forcePathStyle };
}

export function* backendProblems(database: Database, { bucket }: Bucket): Generator<string> {
  const { url, passwordFile } = database;
  if (url !== undefined && bucket === undefined) {
    yield 'S3_BUCKET is required with DATABASE_URL (or unset both to use the embedded servers)';
  }
  if (bucket !== undefined && url === undefined) {
    yield 'DATABASE_URL is required with S3_BUCKET (or unset both to use the embedded servers)';
  }
  if (passwordFile !== undefined && url === undefined) {
    yield 'DATABASE_PASSWORD_FILE does nothing without DATABASE_URL';
  }
  if (passwordFile !== undefined && url !== undefined && parseDatabaseUrl(url).hasPassword) {
    yield 'DATABASE_URL must have no password with DATABASE_PASSWORD_FILE, because one of the two would be ignored';
  }
}
