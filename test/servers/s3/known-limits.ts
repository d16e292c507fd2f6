/**
 * The tests that cannot pass on a server that people run, each with the reason. Such a test still runs there, and must
 * fail in the way that its limit says: known-limits-runner.ts reports an error when the server has mended the limit,
 * when the test fails in another way, and when no test has the title any more.
 */

/** The servers for which this folder has a start script. The scripts set TEST_S3_SERVER to one of these names. */
type ServerName = 'minio' | 'rgw' | 'swift' | 'versitygw';

export interface KnownLimit {
  /** The file, relative to the folder `test`. */
  readonly file: string;
  /** The titles of the test and of the groups around it, joined by " > ". */
  readonly test: string | RegExp;
  /** A part of the message of the error with which the test fails. */
  readonly error: RegExp;
  readonly reason: string;
}

const CONTRACT = 'contract/object-store.real.test.ts';

/** MinIO of April 2021, the last under the Apache License */
const MINIO: readonly KnownLimit[] = [
  {
    file: CONTRACT,
    test: /^a real S3 server > PUT with an x-amz-\* header that is not signed > /,
    error: /to include undefined|to be greater than or equal to 400/,
    reason: 'obeys the header',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > presigned PUT > is refused with If-None-Match: * when the key is taken',
    error: /expected \[ 200, undefined \]/,
    reason: 'ignores If-None-Match for a PUT; the service needs none',
  },
  {
    file: CONTRACT,
    test: /^a real S3 server > stores and returns an object with the key "(a\/\/b.*|ü+)"$/,
    error: /expected 400 to be 200/,
    reason: 'stores an object in a directory whose path is the key',
  },
  {
    file: CONTRACT,
    test: /^a real S3 server > PUT with no Content-(MD5|Type) > is refused and stores nothing$/,
    error: /expected 400 to be 403/,
    reason: 'answers 400 if a signed header is missing',
  },
  {
    file: 'rpc/upload-headers.test.ts',
    test: /^S3_UPLOAD_HEADERS > S3 accepts a (single PUT only with every header|part only with the expected owner)$/,
    error: /expected 400 to be 403/,
    reason: 'answers 400 if a signed header is missing',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > a PUT is refused > without a length',
    error: /HTTP\/1\.1 400 Bad Request/,
    reason: 'takes a missing length for an empty body, which then has another MD5',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > ListObjectsV2 > lists in the order of UTF-8 bytes, with size, ETag and time',
    error: /12, false, 4500/,
    reason: 'has pages of 4,500',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > ListObjectsV2 > starts after a key, whether the key exists or not',
    error: /functionality that is not implemented/,
    reason: 'refuses to start after a key without the prefix; the service never does',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > multipart upload > stays unchanged after a wrong CompleteMultipartUpload > with a body that is not a CompleteMultipartUpload document',
    error: /MissingContentLength/,
    reason: 'answers 411 to an empty body',
  },
  {
    file: CONTRACT,
    test: /^a real S3 server > multipart upload > ListMultipartUploads returns the open uploads in pages of \d$/,
    error: /expected \[\] to deeply equal/,
    reason: 'lists only the uploads of the key that the prefix is, and aborts each after a day by itself',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > a page of another origin gets no permission from a preflight',
    error: /access-control-allow-origin/,
    reason: 'lets every page in, unless MINIO_API_CORS_ALLOW_ORIGIN names some',
  },
];

/** Ceph RGW 16.2 */
const RGW: readonly KnownLimit[] = [
  {
    file: CONTRACT,
    test: /^a real S3 server > PUT with an x-amz-\* header that is not signed > /,
    error: /to include undefined|to be greater than or equal to 400/,
    reason: 'obeys the header; README.md has the bucket settings that users need then',
  },
];

/** OpenStack Swift 2.30 */
const SWIFT: readonly KnownLimit[] = [
  {
    file: CONTRACT,
    test: 'a real S3 server > presigned PUT > is refused with If-None-Match: * when the key is taken',
    error: /expected 501 to be 200/,
    reason: 'knows no If-None-Match for a PUT; the service needs none',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > PUT with no signature at all > is refused and stores nothing',
    error: /to include undefined/,
    reason: 'answers in the form of the Swift API, because nothing shows that the request is one for S3',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > presigned GET > is refused without a signature',
    error: /expected 400 to be 403/,
    reason: 'answers in the form of the Swift API, because nothing shows that the request is one for S3',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > a PUT is refused > with an access key that the server does not know',
    error: /SignatureDoesNotMatch/,
    reason: 'does not tell whether the access key or the secret is wrong',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > presigned GET > answers 404 without a body to a HEAD of a missing object',
    error: /Data after `Connection: close`/,
    reason: 'sends an empty chunk after the headers of a HEAD, which costs a connection',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > multipart upload > stays unchanged after a wrong CompleteMultipartUpload > with a body that is not a CompleteMultipartUpload document',
    error: /InvalidRequest/,
    reason: 'answers 400 InvalidRequest to an empty body',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > multipart upload > ListMultipartUploads returns the open uploads in pages of 1',
    error: /the marker of the next page: expected '' not to be ''/,
    reason: 'gives no marker after a page of one upload; the service asks for pages of 1,000',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > multipart upload > accepts parts up to number 10,000',
    error: /expected 400 to be 200/,
    reason: 'accepts 1,000 parts unless max_upload_part_num and max_manifest_segments are larger',
  },
  {
    file: 'rpc/multipart.test.ts',
    test: 'a part that differs from what was announced > cannot overwrite a READY file',
    error: /expected 200 to be 404/,
    reason: 'accepts the URL of a part after the completion, with the bytes of its MD5 only',
  },
  {
    file: 'rpc/upload-url-holder.test.ts',
    test: 'other bytes with the same MD5 > cannot replace a READY file of a multipart upload, because completion invalidates its URLs',
    error: /status: 200/,
    reason: 'accepts the URL of a part after the completion, so the limit of MD5 holds for parts, too',
  },
];

/** versitygw 1.8 with its posix backend */
const VERSITYGW: readonly KnownLimit[] = [
  {
    file: CONTRACT,
    test: /^a real S3 server > stores and returns an object with the key "ü+"$/,
    error: /expected 400 to be 200/,
    reason: 'stores an object in a file whose name is the key: at most 255 bytes between two slashes',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > a PUT is refused > with an access key that the server does not know',
    error: /404, 'XAdminUserNotFound'/,
    reason: 'answers 404 with a code of its own',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > a PUT is refused > without a length',
    error: /HTTP\/1\.1 400 Bad Request/,
    reason: 'takes a missing length for an empty body, which then has another MD5',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > a PUT is refused > before the body is sent if the client waits for 100-continue',
    error: /expected \[ 403, 2 \]/,
    reason: 'asks for the body before it checks the signature',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > ListObjectsV2 > encodes the keys with encoding-type=url',
    error: /expected 'list\/🦆' to match/,
    reason: 'ignores encoding-type; the keys of the service have no character that must be encoded',
  },
  {
    file: CONTRACT,
    test: /^a real S3 server > multipart upload > ListMultipartUploads returns the open uploads in pages of \d$/,
    error: /Invalid uploadId marker/,
    reason: 'refuses its own markers, so only the first 1,000 open uploads can be listed',
  },
  {
    file: CONTRACT,
    test: 'a real S3 server > a page of another origin > can read the responses to its PUTs, accepted or refused',
    error: /access-control-expose-headers/,
    reason: 'exposes ETag to every allowed page',
  },
];

export const KNOWN_LIMITS: Readonly<Record<ServerName, readonly KnownLimit[]>> = {
  minio: MINIO,
  rgw: RGW,
  swift: SWIFT,
  versitygw: VERSITYGW,
};

/** The servers on which a bucket cannot have CORS rules, because PutBucketCors answers 501 NotImplemented. */
export const WITHOUT_BUCKET_CORS: readonly ServerName[] = ['minio', 'swift'];

/** The server under test. Undefined for the development object store, and for a server without a start script. */
export function serverName(environment: NodeJS.ProcessEnv = process.env): ServerName | undefined {
  const { TEST_S3_SERVER: name = '' } = environment;
  return Object.hasOwn(KNOWN_LIMITS, name) ? (name as ServerName) : undefined;
}
