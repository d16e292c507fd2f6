import { PutBucketNotificationConfigurationCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { put } from '../harness/put.ts';
import { md5 } from '../harness/random.ts';
import { realServer } from '../harness/real-server.ts';
import { startServiceWithServers } from '../harness/service-with-servers.ts';
import { startS3Server } from '../servers/s3/start-s3-server.ts';
import { startEventConsumer } from './event-consumer.ts';
import { report } from './figures.ts';
import { startRelay } from './relay.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const STORAGE_EVENTS_TOKEN = 'the-token-of-the-minio';
const UPLOADS = 200;
const AT_ONCE = 4;

await using starting = new AsyncDisposableStack();
const relay = starting.use(await startRelay());
// The variables stand for the settings that `mc admin config set ALIAS notify_webhook:files` writes.
const webhook = {
  MINIO_NOTIFY_WEBHOOK_ENABLE_files: 'on',
  MINIO_NOTIFY_WEBHOOK_ENDPOINT_files: `${relay.url}/storage-events`,
  MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_files: STORAGE_EVENTS_TOKEN,
};
Object.assign(process.env, webhook);
// The test starts a MinIO of its own, because the URL for messages is a variable of its start.
const minio = process.env.TEST_S3_ENDPOINT === undefined ? await startS3Server('minio') : undefined;
for (const name of Object.keys(webhook)) delete process.env[name];
if (minio !== undefined) Object.assign(process.env, starting.use(minio).environment);
const owned = starting.move();
afterAll(() => owned.disposeAsync());

describe.runIf(minio !== undefined)('a MinIO with a webhook', () => {
  it('makes uploaded files READY before the service would ask by itself', async (context) => {
    await using consumer = await startEventConsumer();
    await using service = await startServiceWithServers({
      environment: { EVENTS_URL: consumer.url, STORAGE_EVENTS_TOKEN },
    });
    relay.passTo(service.http);
    // MinIO answers before it knows its webhook.
    await vi.waitFor(() => notifyOfObjects(service.servers.environment.S3_BUCKET ?? ''), 10_000);
    const client = service.client({ 'x-user-id': 'ada' });
    const names = Array.from({ length: UPLOADS }, (_, at) => `${at} +ü.txt`).values();
    const delays: number[] = [];
    const worker = async () => {
      for (const name of names) {
        const answer = await client.createPresignedUpload({
          filename: name,
          mimeType: 'text/plain',
          md5: md5(name),
        });
        const putMs = performance.now();
        expect(await put(answer, name)).toMatchObject({ status: 200 });
        delays.push((await consumer.ready(answer.s3Key)) - putMs);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    expect(report(context, 'with hints of MinIO (April 2021)', delays).p50Ms).toBeLessThanOrEqual(1_000);
    expect(new Set(relay.statuses)).toEqual(new Set([204]));
  });
});

/** Does what `mc event add ALIAS/BUCKET arn:minio:sqs::files:webhook --event put` does. */
async function notifyOfObjects(bucket: string): Promise<void> {
  const server = realServer();
  if (server === undefined) throw new Error('there is no MinIO');
  const client = new S3Client({ ...server, forcePathStyle: true });
  const QueueArn = 'arn:minio:sqs::files:webhook';
  await client.send(
    new PutBucketNotificationConfigurationCommand({
      Bucket: bucket,
      NotificationConfiguration: {
        QueueConfigurations: [{ QueueArn, Events: ['s3:ObjectCreated:*'] }],
      },
    }),
  );
  client.destroy();
}
