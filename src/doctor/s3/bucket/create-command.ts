import type { LocatedBucket } from '../../../s3/bucket-location.ts';

/**
 * Returns the command of the AWS CLI that creates the bucket on the server of the settings. The doctor prints the
 * command and does not run it: a bucket that a wrong name creates would hide the mistake.
 *
 * @param endpoint S3_ENDPOINT. If it is undefined, the CLI finds the server as the service does, by variables of AWS
 */
export function createCommand({ bucket, region, url }: LocatedBucket, endpoint: string | undefined): string {
  // Amazon creates a bucket in another region than us-east-1 only if the body of the request names the region. Other
  // servers may refuse a name of a region there that they do not know.
  const isAmazon = /\.amazonaws\.com(\.cn)?$/.test(url.hostname);
  return [
    `aws s3api create-bucket --bucket ${quoted(bucket)} --region ${quoted(region)}`,
    ...(isAmazon && region !== 'us-east-1'
      ? [`--create-bucket-configuration LocationConstraint=${quoted(region)}`]
      : []),
    ...(endpoint === undefined ? [] : [`--endpoint-url ${quoted(endpoint)}`]),
  ].join(' ');
}

/** Quotes a text for a shell, if it has characters that a shell may change. */
function quoted(text: string): string {
  return /^[\w./:-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
