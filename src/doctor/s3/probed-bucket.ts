/**
 * `src/doctor/s3` examines the bucket with requests of its own (`send.ts`), which may be wrong on purpose. The
 * subfolders have the rows of the report, and `rows.ts` has their order. Objects that several rows examine are uploaded
 * once (`sample.ts`, `multipart-upload.ts`, …). The record of every object that a request may have stored belongs into
 * `traces.ts`, which removes these objects at the end.
 */
import type { S3Answer, SendProbe } from './send.ts';

/** The bucket that the rows examine. */
export interface ProbedBucket {
  readonly settings: BucketSettings;
  /** @throws InterruptedError if the run was interrupted: nothing was sent */
  send: SendProbe;
  /** Sends a request to the endpoint in the URLs of clients: S3_PUBLIC_ENDPOINT if that is set. */
  sendPublicly: SendProbe;
  /** Returns a key that no file has. An object that is stored under the key is removed at the end. */
  key(name: string): string;
  /**
   * Uploads an object as users do. This method and the next three send their requests at their first call only. All
   * later calls return the answers to these requests.
   */
  sample(): Promise<Sample>;
  multipartUpload(): Promise<MultipartUpload>;
  abortedUpload(): Promise<AbortedUpload>;
  download(): Promise<Download>;
}

export interface BucketSettings {
  /** The name of the bucket, for `x-amz-copy-source`. */
  bucket: string;
  /** The headers of S3_UPLOAD_HEADERS, for a whole PUT (and the begin of a multipart upload) and for a part. */
  uploadHeaders: { whole: Headers; part: Headers };
  /** The query of a download URL, which overrides the headers of the answer. */
  downloadQuery: Readonly<Record<string, string>>;
  /** How long a multipart upload can be resumed. */
  multipartSeconds: number;
  /** The command that creates the bucket. */
  createCommand: string;
  /** The origin of the pages that upload, as browsers send it. */
  origin: string | undefined;
}

type Headers = Readonly<Record<string, string>>;

export interface Sample {
  key: string;
  put: S3Answer;
  head: S3Answer;
}

/** The answers of S3 to the steps of a multipart upload. */
export interface MultipartUpload {
  /** The first answer that was no success. Undefined if the upload was completed. */
  refused?: { step: string; answer: S3Answer };
  /** The list of the parts before the completion. */
  listed?: S3Answer;
  /** The HEAD of the completed object. */
  head?: S3Answer;
}

/** The answers of S3 about a multipart upload that was begun and then aborted. */
export interface AbortedUpload {
  key: string;
  begun: S3Answer;
  /** The answers to the steps after the begin. Undefined if the upload could not be begun. */
  steps?: {
    /** A PUT of a part with other bytes than its URL signs. */
    otherBytes: S3Answer;
    /** The list of all open uploads of the bucket. */
    open: S3Answer;
    aborted: S3Answer;
    /** The list of the parts after the abort. */
    parts: S3Answer;
  };
}

/** An object that was stored with headers of the uploader, and its download with a URL of the service. */
export interface Download {
  put: S3Answer;
  get: S3Answer;
}
