import { FileError, withFields } from '../file-error.ts';
import { parseS3Key, type S3Key } from './s3-key.ts';

/**
 * The maximum number of items of one batch. The sizes that `src/rpc/limits/message-limits.ts` allows for the messages
 * of a batch follow from this number. A response with 1,000 files has at most 2.2 MB in JSON, below the 4 MiB that
 * gRPC's clients accept by default.
 */
export const BATCH_MAX = 1_000;

/**
 * The maximum number of wrong keys that an error names. The details of an error are sent as an HTTP header, and clients
 * accept only short headers.
 */
const NAMED_KEYS_MAX = 10;

/** @throws FileError INVALID_BATCH_SIZE if the field has no items, or too many */
export function parseBatch<Item>(field: string, items: readonly Item[]): readonly Item[] {
  if (items.length >= 1 && items.length <= BATCH_MAX) return items;
  throw new FileError(
    'INVALID_BATCH_SIZE',
    `${field} must have 1 to ${BATCH_MAX} items, and has ${items.length}`,
    { field, metadata: { limit: String(BATCH_MAX) } },
  );
}

/** @throws FileError INVALID_S3_KEY, with a violation for each of the first wrong keys */
export function parseS3Keys(keys: readonly string[]): S3Key[] {
  const parsed: S3Key[] = [];
  const errors: FileError[] = [];
  for (const [index, key] of keys.entries()) {
    try {
      parsed.push(parseS3Key(key));
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      errors.push(withFields(error, () => `s3_keys[${index}]`));
      if (errors.length === NAMED_KEYS_MAX) break;
    }
  }
  const [first] = errors;
  if (first === undefined) return parsed;
  throw new FileError(first.reason, first.message, {
    violations: errors.flatMap((error) => error.violations),
  });
}
