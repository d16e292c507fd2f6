/** A failover can lose the last deletes. The deleted files are READY again, and have no objects in S3. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { listVerified } from '../harness/list-verified.ts';
import { newUser } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';
import { range, removeAll, run as runWith, uploadFiles } from './fixture.ts';

let user: string;
// The interval is long, so that no sweeper repairs a difference before the command does.
const service = forAllTests(() => startTestService({ SWEEP_INTERVAL_SECONDS: '3600' }));
beforeEach(() => {
  user = newUser();
});
afterEach(() => removeAll(service));

const run = (...args: string[]) => runWith(service, args);

const listed = async () => (await listVerified(service.as(user))).map(({ s3Key }) => s3Key).sort();

it('--adopt also takes files that were deleted out of the lists, and then table and bucket agree', async () => {
  const keys = await uploadFiles(service, user, range(30));
  const [uploads, deletes] = [keys.slice(0, 3), keys.slice(3, 7)];
  await service.pool.query('delete from files where s3_key = any($1)', [uploads]);
  for (const key of deletes) await service.bucket.remove(key);
  const objects = (await service.bucket.keys()).sort();

  const { code, text } = await run('--adopt');
  expect(text).toContain('adopted: 3');
  expect(text).toMatch(/ 4 {2}READY rows whose object is missing, .*; repaired: 4/);
  expect(text).toContain('table and bucket agree');
  expect(code).toBe(0);
  expect(await listed()).toEqual(keys.filter((key) => !deletes.includes(key)).sort());
  expect((await service.bucket.keys()).sort()).toEqual(objects);
  expect(await run()).toMatchObject({ code: 0 });
});

it('--adopt leaves the rows alone when so many objects are missing that it may be the wrong bucket', async () => {
  const keys = await uploadFiles(service, user, range(30));
  for (const key of keys.slice(0, 15)) await service.bucket.remove(key);
  const { code, text } = await run('--adopt');
  expect(code).toBe(1);
  expect(text).toContain(
    'refused: 15 of 30 READY rows do not match their objects: this may be the wrong bucket',
  );
  expect(await listed()).toEqual(keys.sort());
});

it('--adopt says when to repeat it, because an upload whose row was lost may end later', async () => {
  const [first = ''] = await uploadFiles(service, user, range(3));
  expect((await run('--adopt')).text).not.toContain('note:');
  await service.pool.query('delete from files where s3_key = $1', [first]);
  expect((await run('--adopt')).text).toContain(
    'note: an upload whose row was lost may still be under way. Run --adopt again in 25 hours, before any --repair.',
  );
});
