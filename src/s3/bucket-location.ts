import type { S3Client } from '@aws-sdk/client-s3';

/** Where a bucket is, and how it is called there. */
export interface BucketLocation {
  bucket: string;
  region: string;
  /** Another server than Amazon's. */
  endpoint: string | undefined;
  /** The bucket in the path and not in the host name. */
  forcePathStyle: boolean;
}

/** Where the bucket is, by the SDK's own rules for partitions, styles and bucket names; ends in `/`. */
export function bucketUrl(
  { config }: S3Client,
  { bucket, region, forcePathStyle, endpoint }: BucketLocation,
): URL {
  const { url } = config.endpointProvider({
    Bucket: bucket,
    Region: region,
    ForcePathStyle: forcePathStyle,
    UseFIPS: false,
    UseDualStack: false,
    UseArnRegion: false,
    Accelerate: false,
    DisableMultiRegionAccessPoints: true,
    ...(endpoint && { Endpoint: endpoint }),
  });
  const location = new URL(url.href);
  if (!location.pathname.endsWith('/')) location.pathname += '/';
  return location;
}
