import { expect, it } from 'vitest';
import { total } from '../harness/metrics.ts';
import { startServiceWithServers } from '../harness/service-with-servers.ts';
import { upload } from '../harness/upload.ts';
import { startS3Server } from '../servers/s3/start-s3-server.ts';
import { startRelay } from './relay.ts';

const STORAGE_EVENTS_TOKEN = 'the-token-of-the-versitygw';

// The test starts a versitygw of its own, because the URL for messages is an option of its start.
it.skipIf(process.env.TEST_S3_ENDPOINT !== undefined)(
  'the messages of a versitygw make an uploaded file READY at once',
  async ({ skip }) => {
    await using relay = await startRelay();
    process.env.VGW_EVENT_WEBHOOK_URL = `${relay.url}/storage-events/${STORAGE_EVENTS_TOKEN}`;
    await using versitygw = await startS3Server('versitygw');
    delete process.env.VGW_EVENT_WEBHOOK_URL;
    if (versitygw === undefined) return skip('versitygw is not installed');
    Object.assign(process.env, versitygw.environment);
    // The interval is long, so that only hints start sweeps.
    await using service = await startServiceWithServers({
      environment: { STORAGE_EVENTS_TOKEN, SWEEP_INTERVAL_SECONDS: '3600' },
    });
    relay.passTo(service.http);
    await upload(service.client({ 'x-user-id': 'ada' }), 'a.txt', 'content');
    const verified = () => total(service.http, 'files_swept_total', { outcome: 'verified' });
    await expect.poll(verified, { timeout: 3_000 }).toBe(1);
    expect(relay.statuses).toEqual([204]);
  },
);
