import { PutBucketNotificationConfigurationCommand, S3Client } from '@aws-sdk/client-s3';
import { realServer } from '../harness/real-server.ts';
import { output } from '../interop/command.ts';

/**
 * Makes a Ceph RGW send its messages about new objects of a bucket to this URL, by the commands of the documents: a
 * topic, which is made by the API of SNS on the port of S3, and a configuration of the bucket.
 *
 * @param attributes of the topic, for example `persistent`
 */
export async function notifyOfObjects(
  bucket: string,
  url: string,
  attributes: Readonly<Record<string, string>> = {},
): Promise<void> {
  const rgw = realServer();
  if (rgw === undefined) throw new Error('there is no Ceph RGW');
  const { endpoint, region, credentials } = rgw;
  const entries = Object.entries({ 'push-endpoint': url, ...attributes });
  const fields = [
    'Action=CreateTopic',
    `Name=${bucket}`,
    ...entries.flatMap(([key, value], index) => [
      `Attributes.entry.${index}.key=${key}`,
      `Attributes.entry.${index}.value=${value}`,
    ]),
  ];
  const topic = await output('curl', [
    '--silent',
    '--fail-with-body',
    '--aws-sigv4',
    `aws:amz:${region}:sns`,
    '--user',
    `${credentials.accessKeyId}:${credentials.secretAccessKey}`,
    ...fields.flatMap((field) => ['--data-urlencode', field]),
    endpoint,
  ]);
  const TopicArn = /<TopicArn>(.+)<\/TopicArn>/.exec(topic)?.[1];
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  const TopicConfigurations = [{ Id: 'file-service', TopicArn, Events: ['s3:ObjectCreated:*' as const] }];
  await client.send(
    new PutBucketNotificationConfigurationCommand({
      Bucket: bucket,
      NotificationConfiguration: { TopicConfigurations },
    }),
  );
  client.destroy();
}
