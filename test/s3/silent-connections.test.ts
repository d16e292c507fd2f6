import { PutObjectCommand } from '@aws-sdk/client-s3';
import { expect, it, vi } from 'vitest';
import { s3Key } from '../../src/files/rules/s3-key.ts';
import { locateBucket } from '../../src/s3/bucket-location.ts';
import { createClient } from '../../src/s3/client.ts';
import { createObjectStore } from '../../src/s3/objects.ts';
import { createSend } from '../../src/s3/send.ts';
import { startFirewall } from '../harness/firewall.ts';
import { startTestObjectStore } from '../harness/object-store.ts';

vi.setConfig({ testTimeout: 30_000 });

it('after a time-out on a connection that was idle, no other idle connection is used', async () => {
  await using server = await startTestObjectStore();
  await using firewall = await startFirewall(Number(new URL(server.endpoint).port));
  const location = { ...server, endpoint: firewall.url.origin };
  const client = createClient(location);
  const Key = s3Key('ada', 'a.txt');
  await client.send(new PutObjectCommand({ Bucket: server.bucket, Key, Body: 'content' }));
  const objects = createObjectStore(
    client,
    await locateBucket(client, location),
    createSend((_, run) => run()),
  );
  const head = () => objects.head({ userId: 'ada', deadline: Date.now() + 20_000 }, Key);
  await Promise.all(Array.from({ length: 8 }, head));
  firewall.forget();
  const startMs = performance.now();
  expect(await head()).toBeDefined();
  // One time-out, and not one for each idle connection.
  expect(performance.now() - startMs).toBeLessThan(4_500);
  client.destroy();
});
