import type {
  CompleteMultipartUploadCommandInput,
  CreateMultipartUploadCommandInput,
} from '@aws-sdk/client-s3';

/** The headers that the setting S3_UPLOAD_HEADERS names, by their lower-case names. */
type Headers = Readonly<Record<string, string>>;

/** The headers of the setting S3_UPLOAD_HEADERS, for each kind of request of an upload. */
export interface UploadHeaders {
  /** For a PUT of a whole object. */
  readonly whole: Headers;
  /** For a PUT of a part: only the expected owner of the bucket. The request that begins the upload has the others. */
  readonly part: Headers;
  readonly begin: Partial<CreateMultipartUploadCommandInput>;
  readonly complete: Partial<CompleteMultipartUploadCommandInput>;
}

export const NO_UPLOAD_HEADERS: UploadHeaders = { whole: {}, part: {}, begin: {}, complete: {} };

/** The fields of the SDK's commands by the names of their headers. */
const FIELDS = {
  'x-amz-server-side-encryption': 'ServerSideEncryption',
  'x-amz-server-side-encryption-aws-kms-key-id': 'SSEKMSKeyId',
  'x-amz-server-side-encryption-bucket-key-enabled': 'BucketKeyEnabled',
  'x-amz-server-side-encryption-context': 'SSEKMSEncryptionContext',
  'x-amz-storage-class': 'StorageClass',
  'x-amz-tagging': 'Tagging',
  'x-amz-acl': 'ACL',
  'x-amz-expected-bucket-owner': 'ExpectedBucketOwner',
} as const satisfies Record<string, keyof CreateMultipartUploadCommandInput>;

/** Every request of an upload names the expected owner of the bucket. The other headers belong to the object. */
const EXPECTED_OWNER = 'x-amz-expected-bucket-owner';

/**
 * Divides the headers among the requests (Amazon S3 API Reference, "PutObject", "CreateMultipartUpload",
 * "UploadPart", "CompleteMultipartUpload").
 */
export function uploadHeaders(headers: Headers): UploadHeaders {
  const owner = headers[EXPECTED_OWNER];
  return {
    whole: headers,
    part: owner === undefined ? {} : { [EXPECTED_OWNER]: owner },
    begin: Object.fromEntries(Object.entries(headers).map(toField)),
    complete: owner === undefined ? {} : { ExpectedBucketOwner: owner },
  };
}

function toField([name, value]: [name: string, value: string]): [string, string | boolean] {
  const field = FIELDS[name as keyof typeof FIELDS];
  return [field, field === 'BucketKeyEnabled' ? value === 'true' : value];
}
