import type { Answer, BucketCall } from '../operation.ts';

/** As in us-east-1, creating one's own bucket again is no error. */
export async function createBucket({ objects, bucket }: BucketCall): Promise<Answer> {
  objects.createBucket(bucket);
  return { status: 200, headers: { location: `/${bucket}` } };
}

export async function headBucket({ objects, bucket }: BucketCall): Promise<Answer> {
  objects.assertBucket(bucket);
  return { status: 200 };
}
