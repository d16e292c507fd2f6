/** The methods of the service that the journey calls, whatever sends them. */
export interface Files {
  createPresignedUpload: Method<NewUpload, Upload>;
  createMultipartUpload: Method<NewFile & { size: bigint; partMd5s: Uint8Array[] }, MultipartUpload>;
  createPresignedParts: Method<Key & { partNumbers: number[] }, { parts: (Url & { partNumber: number })[] }>;
  completeMultipartUpload: Method<Key, unknown>;
  listFiles: Method<object, { files: File[] }>;
  getFile: Method<Key, { file?: File | undefined }>;
  createPresignedDownload: Method<Key, { presignedUrl: string }>;
  deleteFile: Method<Key, unknown>;
  batchGetFiles: Method<{ s3Keys: string[] }, { files: File[] }>;
}

type Method<Request, Response> = (request: Request, options?: { timeoutMs?: number }) => Promise<Response>;

export interface Key {
  s3Key: string;
}

export interface NewFile {
  filename: string;
  mimeType: string;
}

export interface NewUpload extends NewFile {
  md5: string;
  size?: bigint;
}

export interface Url {
  presignedUrl: string;
  requiredHeaders: { [name: string]: string };
}

export interface Upload extends Key, Url {
  type: number;
}

export interface MultipartUpload extends Key {
  type: number;
  partSize: bigint;
  missingPartNumbers: number[];
}

export interface File {
  filename: string;
  size: bigint;
  state: number;
}

/** A google.rpc.Status. */
export interface Status {
  code: number;
  details: { typeUrl: string; value: Uint8Array }[];
}

/** Everything that a program can know of a failed call: its status and its typed details. */
export interface Failure {
  code: string;
  reason: string;
  domain: string;
  metadata: { [name: string]: string };
  fields: string[];
  retryDelaySeconds: number;
}

export interface Connection extends Disposable {
  files: Files;
  /** @throws when the call succeeds */
  failureOf(call: Promise<unknown>): Promise<Failure>;
  /** BatchCreatePresignedUploads. Generators have different types for `oneof`. */
  createAll(requests: NewUpload[]): Promise<{ response?: Upload; failure?: Failure }[]>;
}

/** Enough for every call of the journey. */
export const TIMEOUT_MS = 20_000;

export async function errorOf(call: Promise<unknown>): Promise<unknown> {
  const outcome = await call.then(
    () => ({ succeeded: true as const }),
    (error: unknown) => ({ succeeded: false as const, error }),
  );
  if (outcome.succeeded) throw new Error('the call succeeded');
  return outcome.error;
}
