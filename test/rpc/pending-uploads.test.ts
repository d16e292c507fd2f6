import { expect, it } from 'vitest';
import { failureOf } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { passTime } from '../harness/pass-time.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';

const CAP = 10;

const service = forAllTests(() =>
  startTestService({
    MAX_PENDING_UPLOADS: String(CAP),
    MAX_PENDING_MULTIPART_UPLOADS: String(MULTIPART_CAP),
  }),
);

const file = (bytes: string) => ({ filename: `${bytes}.txt`, mimeType: 'text/plain', md5: md5(bytes) });
const MULTIPART_CAP = 4;

const tooMany = {
  code: 'ResourceExhausted',
  reason: 'TOO_MANY_PENDING_UPLOADS',
  metadata: { limit: '10', kind: 'single' },
};
const tooManyMultipart = { ...tooMany, metadata: { limit: '4', kind: 'multipart' } };

async function fillUp(user: string) {
  const answers = [];
  for (let i = 0; i < CAP; i++) answers.push(await service.as(user).createPresignedUpload(file(`${i}`)));
  expect(await failureOf(service.as(user).createPresignedUpload(file('one more')))).toMatchObject(tooMany);
  return answers;
}

it('exactly MAX_PENDING_UPLOADS of fifty concurrent creates succeed', async () => {
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

it('all pending uploads up to the cap get keys without a random suffix', async () => {
  const user = newUser();
  const keys = (await fillUp(user)).map(({ s3Key }) => s3Key);
  expect(keys).toEqual(Array.from({ length: CAP }, (_, i) => `${user}_${i}.txt`));
});

it('at the cap a repeated create succeeds, and other users are not affected', async () => {
  const user = newUser();
  const [first] = await fillUp(user);
  expect((await service.as(user).createPresignedUpload(file('0'))).s3Key).toBe(first?.s3Key);
  await service.as(newUser()).createPresignedUpload(file('0'));
});

it('an upload that becomes READY makes room for a new pending upload', async () => {
  const user = newUser();
  const [first] = await fillUp(user);
  if (first === undefined) throw new Error('nothing to upload');
  await put(first, '0');
  await service.as(user).listFiles({});
  await service.as(user).createPresignedUpload(file('in place of the first'));
  expect(await failureOf(service.as(user).createPresignedUpload(file('x')))).toMatchObject(tooMany);
});

it('cancelled uploads count until their URLs expire, so a loop of creates and deletes reaches the cap', async () => {
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
  // An early retry would fail again, so the error has no RetryInfo.
  expect(failure).toMatchObject({ ...tooMany, retries: false });
  expect(failure.message).toContain('until their URLs have expired');
  const { rowCount } = await service.pool.query('select from files where user_id = $1', [user]);
  expect(rowCount).toBe(CAP);
  await passTime(service.pool, 2 * 3_600, user);
  await files.createPresignedUpload(file('the same'));
});

const film = (name: string) => ({
  filename: `${name}.mp4`,
  mimeType: 'video/mp4',
  size: 7n,
  partMd5s: [Buffer.from(md5(name), 'base64')],
});

it('multipart uploads have a separate cap, which is exact for concurrent creates', async () => {
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
  expect(await failureOf(files.createMultipartUpload(film('more')))).toMatchObject(tooManyMultipart);
  // A cancelled upload counts for the lifetime of a part URL, and not for the week that a pending upload is
  // kept.
  for (const { s3Key } of made) await files.deleteFile({ s3Key });
  expect(await failureOf(files.createMultipartUpload(film('more')))).toMatchObject(tooManyMultipart);
  await passTime(service.pool, 61 * 60, user);
  for (let i = 0; i < MULTIPART_CAP; i++) await files.createMultipartUpload(film(`again ${i}`));
  expect(await failureOf(files.createMultipartUpload(film('more')))).toMatchObject(tooManyMultipart);
});

const expireUrl = (s3Key?: string) =>
  service.pool.query(`update files set url_expire_at = now() - interval '1 s' where s3_key = $1`, [s3Key]);

it('an upload counts while its URL is valid, and a repeated create counts it again', async () => {
  const user = newUser();
  const [first] = await fillUp(user);
  await expireUrl(first?.s3Key);
  await service.as(user).createPresignedUpload(file('in its place'));
  expect(await failureOf(service.as(user).createPresignedUpload(file('x')))).toMatchObject(tooMany);
  // The first upload still exists, but a new URL for it would need a free place.
  expect(await failureOf(service.as(user).createPresignedUpload(file('0')))).toMatchObject(tooMany);
  await expireUrl(`${user}_1.txt`);
  expect((await service.as(user).createPresignedUpload(file('0'))).s3Key).toBe(first?.s3Key);
  expect(await failureOf(service.as(user).createPresignedUpload(file('x')))).toMatchObject(tooMany);
});

it('a create for a READY file returns EXISTING, even at the cap', async () => {
  const user = newUser();
  await put(await service.as(user).createPresignedUpload(file('there')), 'there');
  await service.as(user).listFiles({});
  await fillUp(user);
  expect((await service.as(user).createPresignedUpload(file('there'))).presignedUrl).toBe('');
});
