import { describe, expect, it } from 'vitest';
import {
  type BatchCreatePresignedUploadsResponse,
  type CreatePresignedUploadResponse,
  UploadType,
} from '../../gen/files/v1/file_service_pb.ts';
import type { Status } from '../../gen/google/rpc/status_pb.ts';
import { failureOf, invalid } from '../harness/failure.ts';
import { failureOfStatus } from '../harness/failure-of-status.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { expireVerifications, passTime } from '../harness/pass-time.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { PROTOCOLS, startTestService } from '../harness/service.ts';

const CAP = 30;

const service = forAllTests(() => startTestService({ MAX_PENDING_UPLOADS: String(CAP) }));

const file = (name: string, content = name, mimeType = 'text/plain') => ({
  filename: `${name}.txt`,
  mimeType,
  md5: md5(content),
});

/** The responses of a batch in which no request failed. */
function responses({ results }: BatchCreatePresignedUploadsResponse): CreatePresignedUploadResponse[] {
  return results.map(({ result }) => {
    if (result.case !== 'response') throw new Error(`a request failed: ${result.value?.message}`);
    return result.value;
  });
}

/** The failures of a batch, with `undefined` for the requests that succeeded. */
function failures({ results }: BatchCreatePresignedUploadsResponse) {
  return results.map(({ result }) =>
    result.case === 'status' ? failureOfStatus(result.value as Status) : undefined,
  );
}

describe.each(PROTOCOLS)('over %s', (protocol) => {
  it('answers each request in its place: new, existing, or its own error', async () => {
    const user = newUser();
    const files = service.as(user, protocol);
    await put(await files.createPresignedUpload(file('there')), 'there');
    await files.listFiles({});

    const batch = await files.batchCreatePresignedUploads({
      requests: [file('new'), { ...file('a'), filename: 'a/b', md5: 'x' }, file('there'), file('last')],
    });
    expect(batch.results.map(({ result }) => result.case)).toEqual([
      'response',
      'status',
      'response',
      'response',
    ]);
    const [first, , existing, last] = batch.results.map(({ result }) => result.value);
    expect(first).toMatchObject({ type: UploadType.NEW, s3Key: `${user}_new.txt`, md5: md5('new') });
    expect(existing).toMatchObject({
      type: UploadType.EXISTING,
      s3Key: `${user}_there.txt`,
      presignedUrl: '',
    });
    expect(failures(batch)[1]).toEqual({
      ...invalid('INVALID_FILENAME', ''),
      message: expect.stringMatching(/^2 fields are wrong: filename must be a name/),
      metadata: {},
      fields: ['requests[1].filename', 'requests[1].md5'],
      retries: false,
    });
    // The URLs work, and the files are there without a further call.
    expect(await put(first as CreatePresignedUploadResponse, 'new')).toMatchObject({ status: 200 });
    expect(await put(last as CreatePresignedUploadResponse, 'last')).toMatchObject({ status: 200 });
    const { files: listed } = await files.listFiles({});
    expect(listed.map(({ filename }) => filename).sort()).toEqual(['last.txt', 'new.txt', 'there.txt']);
  });

  it('refuses no requests, and more than 1,000', async () => {
    const files = service.as(newUser(), protocol);
    for (const requests of [[], Array.from({ length: 1_001 }, (_, i) => file(`${i}`))]) {
      expect(await failureOf(files.batchCreatePresignedUploads({ requests }))).toMatchObject({
        ...invalid('INVALID_BATCH_SIZE', 'requests'),
        metadata: { limit: '1000' },
      });
    }
  });
});

it('an error in JSON has its details', async () => {
  const response = await fetch(`${service.httpUrl}/files.v1.FileService/BatchCreatePresignedUploads`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-user-id': newUser() },
    body: JSON.stringify({ requests: [{ ...file('a'), md5: 'x' }] }),
  });
  expect(await response.json()).toMatchObject({
    results: [
      {
        status: {
          code: 3,
          details: [
            {
              '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
              reason: 'INVALID_MD5',
              domain: 'files.v1',
            },
            {
              '@type': 'type.googleapis.com/google.rpc.BadRequest',
              fieldViolations: [{ field: 'requests[0].md5', reason: 'INVALID_MD5' }],
            },
          ],
        },
      },
    ],
  });
});

describe('requests of one batch', () => {
  it('with the same content get one file, as one after the other: each signs its type, the last name stays', async () => {
    const user = newUser();
    const files = service.as(user);
    const batch = await files.batchCreatePresignedUploads({
      requests: [file('one', 'same'), file('two', 'same', 'text/markdown'), file('three', 'same')],
    });
    const [one, two, three] = responses(batch);
    const s3Key = `${user}_one.txt`;
    expect([one, two, three]).toMatchObject(
      Array.from({ length: 3 }, () => ({ type: UploadType.NEW, s3Key })),
    );
    expect(two?.requiredHeaders['Content-Type']).toBe('text/markdown');
    expect((await files.getFile({ s3Key })).file).toMatchObject({
      filename: 'three.txt',
      mimeType: 'text/plain',
    });
    // The URL of the second type still works, because the row knows that there were several types.
    if (two !== undefined) await put(two, 'same');
    expect((await files.listFiles({})).files).toMatchObject([{ s3Key, mimeType: 'text/markdown' }]);
  });

  it('with the same name and other contents get keys of their own', async () => {
    const user = newUser();
    const files = service.as(user);
    const requests = ['1', '2', '3'].map((content) => file('name', content));
    const keys = responses(await files.batchCreatePresignedUploads({ requests })).map(({ s3Key }) => s3Key);
    expect(keys[0]).toBe(`${user}_name.txt`);
    expect(new Set(keys).size).toBe(3);
    // A further batch finds the plain key taken.
    const more = ['4', '5'].map((content) => file('name', content));
    const others = responses(await files.batchCreatePresignedUploads({ requests: more }));
    expect(new Set([...keys, ...others.map(({ s3Key }) => s3Key)]).size).toBe(5);
  });

  it('beyond the limit of pending uploads fail, and the others succeed', async () => {
    const files = service.as(newUser());
    const requests = Array.from({ length: CAP + 5 }, (_, i) => file(`${i}`));
    const failed = failures(await files.batchCreatePresignedUploads({ requests }));
    expect(failed.slice(0, CAP)).toEqual(Array.from({ length: CAP }, () => undefined));
    const tooMany = {
      code: 'ResourceExhausted',
      reason: 'TOO_MANY_PENDING_UPLOADS',
      metadata: { limit: String(CAP), kind: 'single' },
      retries: false,
    };
    expect(failed.slice(CAP)).toMatchObject(Array.from({ length: 5 }, () => tooMany));
  });

  it('use the slots of uploads whose URLs have expired', async () => {
    const user = newUser();
    const files = service.as(user);
    const batch = (name: string) => ({
      requests: Array.from({ length: CAP }, (_, i) => file(`${name} ${i}`)),
    });
    responses(await files.batchCreatePresignedUploads(batch('before')));
    await passTime(service.pool, 2 * 3_600, user);
    responses(await files.batchCreatePresignedUploads(batch('after')));
  });
});

it('a repeated batch gives the same files, and after the PUTs EXISTING', async () => {
  const user = newUser();
  const files = service.as(user);
  const contents = Array.from({ length: 20 }, (_, i) => `content ${i}`);
  const requests = contents.map((content) => file(content));
  const first = responses(await files.batchCreatePresignedUploads({ requests }));
  const again = responses(await files.batchCreatePresignedUploads({ requests }));
  expect(again.map(({ s3Key }) => s3Key)).toEqual(first.map(({ s3Key }) => s3Key));
  expect(again).toMatchObject(contents.map(() => ({ type: UploadType.NEW })));
  await Promise.all(first.map((answer, i) => put(answer, contents[i] ?? '')));
  const third = responses(await files.batchCreatePresignedUploads({ requests }));
  expect(third).toMatchObject(first.map(({ s3Key }) => ({ type: UploadType.EXISTING, s3Key })));
});

it('files that are not fresh are verified, and lost files get a URL under their key', async () => {
  const user = newUser();
  const files = service.as(user);
  const requests = ['kept', 'lost'].map((content) => file(content));
  const [kept, lost] = responses(await files.batchCreatePresignedUploads({ requests }));
  if (kept === undefined || lost === undefined) throw new Error('no URLs');
  await put(kept, 'kept');
  await put(lost, 'lost');
  await files.listFiles({});
  await service.bucket.remove(lost.s3Key);
  await expireVerifications(service.pool, user);
  const again = responses(await files.batchCreatePresignedUploads({ requests }));
  expect(again).toMatchObject([
    { type: UploadType.EXISTING, s3Key: kept.s3Key },
    { type: UploadType.NEW, s3Key: lost.s3Key },
  ]);
});

it('concurrent batches of a user with the same contents and names succeed, with one file per content', async () => {
  const user = newUser();
  const names = Array.from({ length: CAP }, (_, i) => `${i}`);
  const batches = await Promise.all(
    [0, 7, 13, 21].map((by) => {
      const requests = [...names.slice(by), ...names.slice(0, by)].map((name) => file(name));
      return service.as(user).batchCreatePresignedUploads({ requests }, { timeoutMs: 20_000 });
    }),
  );
  for (const batch of batches) responses(batch);
  const { rows } = await service.pool.query(
    'select count(*)::int, count(distinct fingerprint)::int as contents from files where user_id = $1',
    [user],
  );
  expect(rows).toEqual([{ count: CAP, contents: CAP }]);
});
