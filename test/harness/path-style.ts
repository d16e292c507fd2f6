import type { LocatedBucket } from '../../src/s3/bucket-location.ts';

/** The address of a bucket whose name is in the path, as on the development object store. */
export function pathStyle({
  endpoint,
  bucket,
  region,
}: {
  endpoint: string;
  bucket: string;
  region: string;
}): LocatedBucket {
  return { bucket, region, url: new URL(`${endpoint}/${bucket}/`) };
}
