/** The types that all S3 operations share. An S3 operation is a function from a `Call` to an `Answer`. */
import type { Readable } from 'node:stream';
import type { Body } from './body.ts';
import { S3Error } from './errors.ts';
import type { S3Request } from './request.ts';
import type { Objects } from './storage/objects.ts';
import type { Uploads } from './storage/uploads.ts';

export interface Call {
  readonly request: S3Request;
  readonly body: Body;
  readonly objects: Objects;
  readonly uploads: Uploads;
  /** The minimum size in bytes of each part of a multipart upload, except the last part. */
  readonly minPartBytes: number;
}

export interface BucketCall extends Call {
  readonly bucket: string;
}

export interface ObjectCall extends BucketCall {
  readonly key: string;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** XML as text, or the bytes of an object. With a Readable, `headers` must have `content-length`. */
  readonly body?: string | Readable;
}

export function xmlAnswer(document: string): Answer {
  return { status: 200, headers: { 'content-type': 'application/xml' }, body: document };
}

export function noSuchKey(key: string): S3Error {
  return new S3Error('NoSuchKey', 'The specified key does not exist.', { Key: key });
}

/** Reads a whole number from a query parameter. As in S3, a larger number than `greatest` counts as `greatest`. */
export function countOf(name: string, text: string | undefined, greatest: number): number {
  if (text === undefined) return greatest;
  if (!/^[0-9]{1,10}$/.test(text))
    throw new S3Error('InvalidArgument', `Argument ${name} must be a whole number`);
  return Math.min(Number(text), greatest);
}
