import { FileError } from '../../files/file-error.ts';

/** Returns the error of Postgres or S3 that a FileError has as its cause. Returns other errors unchanged. */
export function causeOf(error: unknown): unknown {
  return error instanceof FileError ? (error.cause ?? error) : error;
}
