import type { PutTarget, Range } from './platform.ts';

/**
 * With a larger length, S3 waits for bytes that never come, until the connection counts as broken. With a smaller one,
 * S3 takes the rest of the bytes for another request.
 *
 * @throws Error if the required headers announce another length than the range has
 */
export function assertLength({ headers }: PutTarget, { start, end }: Range): void {
  for (const [name, value] of Object.entries(headers)) {
    if (name.toLowerCase() !== 'content-length' || value.trim() === String(end - start)) continue;
    throw new Error(`the service requires a PUT of ${value} bytes, but ${end - start} are to be sent`);
  }
}
