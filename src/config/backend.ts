import type { Values } from './setting.ts';
import type { DATABASE } from './settings/database.ts';
import type { STORAGE } from './settings/storage.ts';

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

type DatabaseUrl = Pick<Values<typeof DATABASE>, 'url'>;
type Bucket = Pick<Values<typeof STORAGE>, 'bucket' | 'endpoint' | 'forcePathStyle'>;

export function backendOf(database: DatabaseUrl, storage: Bucket, dataDirectory: string): BackendConfig {
  const { bucket, endpoint, forcePathStyle } = storage;
  if (database.url === undefined || bucket === undefined) return { kind: 'embedded', dataDirectory };
  return { kind: 'external', databaseUrl: database.url, bucket, endpoint, forcePathStyle };
}

export function* backendProblems({ url }: DatabaseUrl, { bucket }: Bucket): Generator<string> {
  if (url !== undefined && bucket === undefined) {
    yield 'S3_BUCKET is required with DATABASE_URL (or unset both to use the embedded servers)';
  }
  if (bucket !== undefined && url === undefined) {
    yield 'DATABASE_URL is required with S3_BUCKET (or unset both to use the embedded servers)';
  }
}
