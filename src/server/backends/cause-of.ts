import { FileError } from '../../files/file-error.ts';

/** Returns the error of the server behind the error that a caller would get. */
export function causeOf(error: unknown): unknown {
  return error instanceof FileError ? (error.cause ?? error) : error;
}
