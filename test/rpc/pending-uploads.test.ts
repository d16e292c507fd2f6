import { afterAll, beforeAll, expect, it } from 'vitest';
import { failureOf } from '../harness/failure.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { startTestService, type TestService } from '../harness/service.ts';

const CAP = 10;

let service: TestService;
beforeAll(async () => {
  service = await startTestService({
    MAX_PENDING_UPLOADS: String(CAP),
    MAX_PENDING_MULTIPART_UPLOADS: String(MULTIPART_CAP),
  });
});
afterAll(() => service.stop());

const file = (bytes: string) => ({ filename: `${bytes}.txt`, mimeType: 'text/plain', md5: md5(bytes) });
const MULTIPART_CAP = 4;

const tooMany = {
  code: 'ResourceExhausted',
  reason: 'TOO_MANY_PENDING_UPLOADS',
  metadata: { limit: '10', kind: 'single' },
};
const tooManyInParts = { ...tooMany, metadata: { limit: '4', kind: 'multipart' } };

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

it('make room when one is uploaded', async () => {
  const user = newUser();
  const [first] = await fillUp(user);
  if (first === undefined) throw new Error('nothing to upload');
  await put(first, '0');
  await service.as(user).listFiles({});
  await service.as(user).createPresignedUpload(file('in place of the first'));
  expect(await failureOf(service.as(user).createPresignedUpload(file('x')))).toMatchObject(tooMany);
});

it('count when they are cancelled, until their URLs have expired: a loop of creates and deletes meets the cap', async () => {
  const user = newUser();
  const files = service.as(user);
  let refused = 0;
  for (let i = 0; i < 5 * CAP; i++) {
    const made = await files.createPresignedUpload(file('the same')).catch(() => undefined);
    if (made !== undefined) await files.deleteFile({ s3Key: made.s3Key });
    else refused++;
  }
  expect(refused).toBe(4 * CAP);
  const failure = await failureOf(files.createPresignedUpload(file('the same')));
  // It does not help to come again soon, so nobody is told to.
  expect(failure).toMatchObject({ ...tooMany, retries: false });
  expect(failure.message).toContain('until their URLs have expired');
  const { rowCount } = await service.pool.query('select from files where user_id = $1', [user]);
  expect(rowCount).toBe(CAP);
  await service.pool.query(
    `update files set url_expire_at = url_expire_at - interval '2 hours' where user_id = $1`,
    [user],
  );
  await files.createPresignedUpload(file('the same'));
});

const film = (name: string) => ({
  filename: `${name}.mp4`,
  mimeType: 'video/mp4',
  size: 7n,
  partMd5s: [Buffer.from(md5(name), 'base64')],
});

it('in parts have a cap of their own, exact when many are begun at once, and take nothing from the others', async () => {
  const user = newUser();
  const files = service.as(user);
  await fillUp(user);
  const outcomes = await Promise.allSettled(
    Array.from({ length: 5 * MULTIPART_CAP }, (_, i) =>
      files.createMultipartUpload(film(`${i}`), { timeoutMs: 20_000 }),
    ),
  );
  const made = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []));
  expect(made).toHaveLength(MULTIPART_CAP);
  expect(await failureOf(files.createMultipartUpload(film('more')))).toMatchObject(tooManyInParts);
  // Cancelled they count for as long as a URL of a part may live, which is not the week that they would be kept.
  for (const { s3Key } of made) await files.deleteFile({ s3Key });
  expect(await failureOf(files.createMultipartUpload(film('more')))).toMatchObject(tooManyInParts);
  await service.pool.query(
    `update files set url_expire_at = url_expire_at - interval '61 minutes' where user_id = $1`,
    [user],
  );
  for (let i = 0; i < MULTIPART_CAP; i++) await files.createMultipartUpload(film(`again ${i}`));
  expect(await failureOf(files.createMultipartUpload(film('more')))).toMatchObject(tooManyInParts);
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
  await service.pool.query(
    `update files set url_expire_at = now() - interval '1 s' where user_id = $1 and s3_key = $2`,
    [user, `${user}_1.txt`],
  );
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
