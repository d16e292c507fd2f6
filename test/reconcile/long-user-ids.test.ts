/** Keys of users with long ids have only the hash of the id, so an object without a row does not name its user. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { listVerified } from '../harness/list-verified.ts';
import { newUser } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';
import { asListed, range, reportOf, uploadFiles } from './fixture.ts';

const service = forAllTests(() => startTestService({ SWEEP_INTERVAL_SECONDS: '3600' }));

/** In a key, each `@` needs three bytes, so the key has only the hash of the id. */
const longUser = () => newUser().padEnd(100, '@');

const forget = (keys: string[]) => service.pool.query('delete from files where s3_key = any($1)', [keys]);
const listed = async (user: string) =>
  (await listVerified(service.as(user))).map(({ s3Key }) => s3Key).sort();

it('--adopt finds the user in another row of the user, before or after the object', async () => {
  const user = longUser();
  const keys = await uploadFiles(service, user, range(5));
  expect(keys[0]).toMatch(/^\.sha256-[0-9a-f]{64}_0\.txt$/);
  await forget([keys[0] ?? '', keys[4] ?? '']);
  const found = await reportOf(service, asListed, ['--adopt']);
  expect(found).toMatchObject({ repaired: { adopted: 2 }, unknownUser: { count: 0 } });
  expect(await listed(user)).toEqual(keys.sort());
});

it('without a row of the user, objects are reported and never changed, until --user-ids names the user', async () => {
  const user = longUser();
  const keys = await uploadFiles(service, user, range(3));
  await forget(keys);
  const bytes = 3 * 'content 0'.length;
  for (const action of ['--adopt', '--repair']) {
    const found = await reportOf(service, asListed, [action]);
    expect(found).toMatchObject({ code: 1, unknownUser: { count: 3, bytes }, orphans: { count: 0 } });
  }
  expect((await service.bucket.keys()).sort()).toEqual(expect.arrayContaining(keys));

  const directory = await mkdtemp(join(tmpdir(), 'user-ids-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const ids = join(directory, 'ids');
  await writeFile(ids, `${longUser()}\n${user}\n`);
  // `run` of fixture.ts names `/` as the current directory of the user.
  const found = await reportOf(service, asListed, ['--adopt', '--user-ids', relative('/', ids)]);
  expect(found).toMatchObject({ code: 0, repaired: { adopted: 3 }, unknownUser: { count: 0 } });
  expect(await listed(user)).toEqual(keys.sort());
});

it('uploads of an unknown user are reported and not aborted', async () => {
  const key = `.sha256-${'0'.repeat(64)}_film.mp4`;
  await service.bucket.beginUpload(key);
  const found = await reportOf(service, asListed, ['--repair']);
  expect(found).toMatchObject({
    code: 1,
    unknownUser: { count: 1, examples: [key] },
    strayUploads: { count: 0 },
  });
  expect(await service.bucket.uploads(key)).toHaveLength(1);
});
