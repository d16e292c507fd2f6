import { reasonOf, StartupError } from '../../config/startup-error.ts';
import { type BucketLocation, locateBucket, locatePublicBucket } from '../../s3/bucket-location.ts';
import { type ClientOptions, createClient } from '../../s3/client.ts';

/**
 * Makes the client of S3 and finds the addresses of the bucket: `located` for requests of this service, and `publicly`
 * for URLs, because clients may reach S3 under another name. No request is sent.
 *
 * @throws StartupError if the settings and the variables of AWS contradict each other
 */
export async function openBucket(
  location: BucketLocation & ClientOptions,
  publicEndpoint: string | undefined,
) {
  const client = createClient(location);
  try {
    const located = await locateBucket(client, location);
    const publicly =
      publicEndpoint === undefined
        ? located
        : await locatePublicBucket(client, { ...location, endpoint: publicEndpoint });
    return { client, located, publicly };
  } catch (error) {
    client.destroy();
    throw new StartupError(
      `the address of the bucket cannot be determined: ${reasonOf(error)}. It follows from S3_BUCKET, S3_REGION, S3_ENDPOINT and S3_PUBLIC_ENDPOINT, and from the variables and profiles of AWS (AWS_ENDPOINT_URL_S3, AWS_USE_FIPS_ENDPOINT, …)`,
      { cause: error },
    );
  }
}
