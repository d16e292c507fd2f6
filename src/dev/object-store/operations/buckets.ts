/**
 * `src/dev/object-store/operations` has the S3 operations, one function each: they read a parsed,
 * authenticated request, use the storage, and return an answer with the status, headers and errors of S3.
 *
 * Signatures, the framing of the body, and the files on the disk do not belong here: see ../signatures/,
 * ../body.ts and ../storage/.
 */
import type { Answer, BucketCall } from '../operation.ts';

/** Creating a bucket that already exists is not an error. Amazon S3 in us-east-1 behaves so for the owner. */
export async function createBucket({ objects, bucket }: BucketCall): Promise<Answer> {
  objects.createBucket(bucket);
  return { status: 200, headers: { location: `/${bucket}` } };
}

export async function headBucket({ objects, bucket }: BucketCall): Promise<Answer> {
  objects.assertBucket(bucket);
  return { status: 200 };
}
