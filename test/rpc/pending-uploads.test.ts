import { afterAll, beforeAll, expect, it } from 'vitest';
import { failureOf } from '../harness/failure.ts';
import { md5, newUser } from '../harness/made-up.ts';
import { put } from '../harness/put.ts';
import { startTestService, type TestService } from '../harness/service.ts';

const CAP = 10;

let service: TestService;
beforeAll(async () => {
  service = await startTestService({ MAX_PENDING_UPLOADS: String(CAP) });
});
afterAll(() => service.stop());

const file = (bytes: string) => ({ filename: `${bytes}.txt`, mimeType: 'text/plain', md5: md5(bytes) });
const tooMany = { code: 'ResourceExhausted', reason: 'TOO_MANY_PENDING_UPLOADS', metadata: { limit: '10' } };

async function fillUp(user: string) {
  const answers = [];
  for (let i = 0; i < CAP; i++) answers.push(await service.as(user).createPresignedUpload(file(`${i}`)));
  expect(await failureOf(service.as(user).createPresignedUpload(file('one more')))).toMatchObject(tooMany);
  return answers;
}

it('are as many as the cap allows, exactly, also when fifty are asked for at once', async () => {
  for (let round = 0; round < 5; round++) {
    const user = newUser();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 50 }, (_, i) => service.as(user).createPresignedUpload(file(`${i}`))),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(CAP);
    const { rowCount } = await service.pool.query('select from files where user_id = $1', [user]);
    expect(rowCount).toBe(CAP);
  }
});

it('have their plain keys, up to the last one', async () => {
  const user = newUser();
  const keys = (await fillUp(user)).map(({ s3Key }) => s3Key);
  expect(keys).toEqual(Array.from({ length: CAP }, (_, i) => `${user}_${i}.txt`));
});

it('may be asked for again at the cap, and do not count against another user', async () => {
  const user = newUser();
  const [first] = await fillUp(user);
  expect((await service.as(user).createPresignedUpload(file('0'))).s3Key).toBe(first?.s3Key);
  await service.as(newUser()).createPresignedUpload(file('0'));
});

it('make room when one is uploaded, or cancelled', async () => {
  const user = newUser();
  const [first, second] = await fillUp(user);
  if (first === undefined || second === undefined) throw new Error('nothing to upload');
  await put(first, '0');
  await service.as(user).listFiles({});
  await service.as(user).createPresignedUpload(file('in place of the first'));
  expect(await failureOf(service.as(user).createPresignedUpload(file('x')))).toMatchObject(tooMany);

  await service.as(user).deleteFile({ s3Key: second.s3Key });
  await service.as(user).createPresignedUpload(file('in place of the second'));
  expect(await failureOf(service.as(user).createPresignedUpload(file('x')))).toMatchObject(tooMany);
});

it('count while their URLs live, and come back into the count when they are asked for again', async () => {
  const user = newUser();
  const [first] = await fillUp(user);
  await service.pool.query(
    `update files set url_expire_at = now() - interval '1 s' where user_id = $1 and s3_key = $2`,
    [user, first?.s3Key],
  );
  await service.as(user).createPresignedUpload(file('in its place'));
  expect(await failureOf(service.as(user).createPresignedUpload(file('x')))).toMatchObject(tooMany);
  // It is still there, and asks for a place again.
  expect(await failureOf(service.as(user).createPresignedUpload(file('0')))).toMatchObject(tooMany);
  await service.as(user).deleteFile({ s3Key: `${user}_1.txt` });
  expect((await service.as(user).createPresignedUpload(file('0'))).s3Key).toBe(first?.s3Key);
  expect(await failureOf(service.as(user).createPresignedUpload(file('x')))).toMatchObject(tooMany);
});

it('a file that is there is EXISTING at the cap, too', async () => {
  const user = newUser();
  await put(await service.as(user).createPresignedUpload(file('there')), 'there');
  await service.as(user).listFiles({});
  await fillUp(user);
  expect((await service.as(user).createPresignedUpload(file('there'))).presignedUrl).toBe('');
});
