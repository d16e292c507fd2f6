import type { S3Client } from '@aws-sdk/client-s3';

/** A bucket and how to address it. */
export interface BucketLocation {
  bucket: string;
  region: string;
  /** The URL of an S3 server. Unset: Amazon's server of the region. */
  endpoint: string | undefined;
  /** Puts the bucket's name into the path, and not into the host name. */
  forcePathStyle: boolean;
}

/**
 * The URL of the bucket, with a `/` at its end. The SDK's own endpoint provider builds it, so that the rules
 * for partitions, path styles and bucket names are the SDK's.
 */
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
