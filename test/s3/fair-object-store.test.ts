import { expect, it, onTestFinished } from 'vitest';
import { s3Key } from '../../src/files/rules/s3-key.ts';
import { createClient, SOCKETS_MAX } from '../../src/s3/client.ts';
import { withFairQueue } from '../../src/s3/fair-object-store.ts';
import { createObjectStore } from '../../src/s3/objects.ts';
import { createSend } from '../../src/s3/send.ts';
import { startTestObjectStore } from '../harness/object-store.ts';

/** Far more than the sockets to S3 (64), so that most requests wait in the queue. */
const HEADS = 400;

it('hundreds of waiting HEAD requests of one user do not delay another user’s request', async () => {
  const server = await startTestObjectStore();
  const client = createClient(server);
  onTestFinished(async () => {
    client.destroy();
    await server.stop();
  });
  const objects = withFairQueue(
    createObjectStore(
      client,
      server,
      createSend((_, run) => run()),
    ),
  );
  const order: string[] = [];
  const headAs = async (user: string) => {
    expect(await objects.head(s3Key(user, 'a.txt'), Date.now() + 20_000)).toBeUndefined();
    order.push(user);
  };
  await Promise.all([...Array.from({ length: HEADS }, () => headAs('greedy')), headAs('modest')]);
  // Before it: the requests that were already running, and one more of the greedy user for each socket.
  expect(order.indexOf('modest')).toBeLessThanOrEqual(2 * SOCKETS_MAX);
});

it('a HEAD that waits too long in the fair queue fails with STORAGE_UNAVAILABLE and is not sent', async () => {
  const sentKeys: string[] = [];
  const never = (s3Key: string) => {
    sentKeys.push(s3Key);
    return new Promise<never>(() => {});
  };
  const objects = withFairQueue({ head: never, remove: never });
  for (let i = 0; i < SOCKETS_MAX; i++) void objects.head(`a_${i}`, Date.now() + 20_000);
  await expect(objects.head('b_late', Date.now() + 20)).rejects.toMatchObject({
    reason: 'STORAGE_UNAVAILABLE',
    retryAfterMs: 1_000,
  });
  expect(sentKeys).not.toContain('b_late');
});
