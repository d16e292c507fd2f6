import type { S3Client } from '@aws-sdk/client-s3';

/** A bucket and how to address it, as the settings of the service say. */
export interface BucketLocation {
  bucket: string;
  region: string;
  /**
   * The URL of an S3 server. Undefined means the server that the variables and profiles of AWS name
   * (`AWS_ENDPOINT_URL_S3`, …), and Amazon's server of the region if they name none.
   */
  endpoint: string | undefined;
  /** Whether URLs contain the bucket's name in the path, and not in the host name. */
  forcePathStyle: boolean;
}

/** A bucket whose address is known. Every URL, and every request that the service sends without the SDK, needs one. */
export interface LocatedBucket {
  bucket: string;
  /** The URL of the bucket, with a `/` at its end. */
  url: URL;
  /** The region in signatures. It differs from the configured region for names such as `fips-us-east-1`. */
  region: string;
}

/**
 * Finds the address to which the SDK's commands go, so that URLs and requests without the SDK go to the same
 * server. The SDK reads variables and files for this (`AWS_USE_FIPS_ENDPOINT`, a profile's `endpoint_url`, …), and
 * `client.config` has what it found. test/s3/aws-variables.test.ts compares the result with the SDK's requests.
 *
 * @throws Error if the variables contradict each other or the settings, or if presigned URLs cannot address the bucket
 */
export async function locateBucket(
  { config }: S3Client,
  { endpoint, ...location }: BucketLocation,
): Promise<LocatedBucket> {
  // The SDK calls this function for its own commands. Its type is not exported, because the SDK marks it as internal.
  const { serviceConfiguredEndpoint } = config as { serviceConfiguredEndpoint?: ConfiguredEndpoint };
  return locate(config, location, {
    Endpoint: endpoint ?? (await serviceConfiguredEndpoint?.()),
    UseFIPS: await config.useFipsEndpoint(),
    UseDualStack: await config.useDualstackEndpoint(),
  });
}

type ConfiguredEndpoint = () => Promise<string | undefined>;

/**
 * Returns the address of the bucket under the endpoint that clients use. The endpoint names the server completely,
 * so no variable of AWS applies to it.
 */
export function locatePublicBucket(
  { config }: S3Client,
  { endpoint, ...location }: BucketLocation & { endpoint: string },
): Promise<LocatedBucket> {
  return locate(config, location, { Endpoint: endpoint, UseFIPS: false, UseDualStack: false });
}

interface Server {
  Endpoint: string | undefined;
  UseFIPS: boolean;
  UseDualStack: boolean;
}

/** Builds the address with `endpointProvider` of the SDK, which knows the rules for partitions and bucket names. */
async function locate(
  config: S3Client['config'],
  { bucket, forcePathStyle }: Omit<BucketLocation, 'endpoint'>,
  { Endpoint, ...server }: Server,
): Promise<LocatedBucket> {
  const { url, properties } = config.endpointProvider({
    Bucket: bucket,
    Region: await config.region(),
    ForcePathStyle: forcePathStyle,
    UseArnRegion: false,
    Accelerate: false,
    DisableMultiRegionAccessPoints: true,
    ...server,
    ...(Endpoint && { Endpoint }),
  });
  const [scheme] = (properties?.authSchemes ?? []) as AuthScheme[];
  if (scheme?.name !== 'sigv4' || scheme.signingName !== 's3' || scheme.signingRegion === undefined) {
    throw new Error(
      `the bucket ${bucket} needs signatures that presigned URLs do not have (${scheme?.name})`,
    );
  }
  const location = new URL(url.href);
  if (!location.pathname.endsWith('/')) location.pathname += '/';
  return { bucket, url: location, region: scheme.signingRegion };
}

/** How to sign a request. For names of directory buckets, Outposts and access points, the SDK returns other schemes. */
interface AuthScheme {
  name: string;
  signingName?: string;
  signingRegion?: string;
}
