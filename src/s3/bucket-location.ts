import type { S3Client } from '@aws-sdk/client-s3';

/** A bucket and how to address it. */
export interface BucketLocation {
  bucket: string;
  region: string;
  /** The URL of an S3 server. Undefined means Amazon's server of the region. */
  endpoint: string | undefined;
  /** Whether URLs contain the bucket's name in the path, and not in the host name. */
  forcePathStyle: boolean;
}

/**
 * Returns the URL of the bucket, with a `/` at its end. The SDK's own endpoint provider builds the URL, so that it
 * follows the SDK's rules for partitions, path styles and bucket names.
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
