import { expect, it, onTestFinished } from 'vitest';
import { s3Key } from '../../src/files/rules/s3-key.ts';
import { createClient, SOCKETS_MAX } from '../../src/s3/client.ts';
import { withFairQueue } from '../../src/s3/fair-object-store.ts';
import { createObjectStore } from '../../src/s3/objects.ts';
import { createSend } from '../../src/s3/send.ts';
import { startTestObjectStore } from '../harness/object-store.ts';

const LOOKS = 400;

it('hundreds of looks of one user are not before another’s', async () => {
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
  const lookOf = async (user: string) => {
    expect(await objects.head(s3Key(user, 'a.txt'), Date.now() + 20_000)).toBeUndefined();
    order.push(user);
  };
  await Promise.all([...Array.from({ length: LOOKS }, () => lookOf('greedy')), lookOf('modest')]);
  // After those that were under way, and one turn of the other's for each socket.
  expect(order.indexOf('modest')).toBeLessThanOrEqual(2 * SOCKETS_MAX);
});

it('a look whose turn does not come in time is STORAGE_UNAVAILABLE, and asks nothing', async () => {
  const asked: string[] = [];
  const never = (s3Key: string) => {
    asked.push(s3Key);
    return new Promise<never>(() => {});
  };
  const objects = withFairQueue({ head: never, remove: never });
  for (let i = 0; i < SOCKETS_MAX; i++) void objects.head(`a_${i}`, Date.now() + 20_000);
  await expect(objects.head('b_late', Date.now() + 20)).rejects.toMatchObject({
    reason: 'STORAGE_UNAVAILABLE',
    retryAfterMs: 1_000,
  });
  expect(asked).not.toContain('b_late');
});
