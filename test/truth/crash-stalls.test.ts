import { afterAll, beforeAll, expect, it } from 'vitest';
import { newUser } from '../harness/made-up.ts';
import { openPorts } from './crash-ports.ts';
import { content, Scene } from './crash-scene.ts';
import { openWorld, type World } from './crash-world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

it('a sweeper that sees bytes of a settled upload, deleted at that moment by one that dies, leaves the tombstone to its time', async () => {
  const scene = new Scene(world, newUser());
  const key = await scene.announceAndPut(content('report.pdf', 'the report'));
  await scene.change(`url_expire_at = now() - interval '25 hours', due_at = now()`);
  // Beside the living instance, one to which that happens after each of its looks.
  const sweeper = openPorts(world.servers, {
    database: (database) => database,
    objects: (objects) => ({
      async head(s3Key, deadline) {
        const seen = await objects.head(s3Key, deadline);
        await scene.deleteAndDie(s3Key);
        return seen;
      },
      remove: objects.remove,
    }),
  });
  try {
    for (const due of await sweeper.store.claimDue(1, 60)) await sweeper.sweepOne(due, Date.now() + 10_000);
    const { rows } = await world.ports.pool.query('select s3_key, state from files');
    expect(rows).toEqual([{ s3_key: key, state: 'deleted' }]);
    await world.settle();
    expect(await world.differences([])).toEqual([]);
  } finally {
    await sweeper.close();
  }
});
