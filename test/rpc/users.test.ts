import { createClient } from '@connectrpc/connect';
import { credentials, Metadata, makeGenericClientConstructor, type ServiceError } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { FileService, UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { failureOf, invalid } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { PROTOCOLS, startTestService, type TestService } from '../harness/service.ts';

const service = forAllTests(() => startTestService());

const file = (filename: string, bytes: string) => ({ filename, mimeType: 'text/plain', md5: md5(bytes) });

type Files = ReturnType<TestService['as']>;

/** Every RPC with a valid request. */
const EVERY_RPC: Record<string, (client: Files, s3Key: string) => Promise<unknown>> = {
  createPresignedUpload: (client) => client.createPresignedUpload(file('a.txt', 'a')),
  batchCreatePresignedUploads: (client) =>
    client.batchCreatePresignedUploads({ requests: [file('b.txt', 'b'), file('', 'b')] }),
  batchGetFiles: (client, s3Key) => client.batchGetFiles({ s3Keys: [s3Key] }),
  listFiles: (client) => client.listFiles({}),
  getFile: (client, s3Key) => client.getFile({ s3Key }),
  deleteFile: (client, s3Key) => client.deleteFile({ s3Key }),
  createPresignedDownload: (client, s3Key) => client.createPresignedDownload({ s3Key }),
  createMultipartUpload: (client) =>
    client.createMultipartUpload({
      filename: 'a.bin',
      mimeType: 'text/plain',
      size: 1n,
      partMd5s: [new Uint8Array(16)],
    }),
  createPresignedParts: (client, s3Key) => client.createPresignedParts({ s3Key, partNumbers: [1] }),
  completeMultipartUpload: (client, s3Key) => client.completeMultipartUpload({ s3Key }),
};

it('EVERY_RPC has every method of the service', () => {
  expect(Object.keys(EVERY_RPC).sort()).toEqual(Object.keys(FileService.method).sort());
});

describe.each(Object.entries(EVERY_RPC))('%s', (_, call) => {
  describe.each(PROTOCOLS)('over %s', (protocol) => {
    it.each<[string, Record<string, string>, string]>([
      ['no user', {}, 'USER_ID_MISSING'],
      ['an empty user', { 'x-user-id': '' }, 'USER_ID_MISSING'],
      ['blanks', { 'x-user-id': '   ' }, 'USER_ID_MISSING'],
      ['two users', { 'x-user-id': 'a,b' }, 'USER_ID_INVALID'],
      ['two users and a blank', { 'x-user-id': 'a, b' }, 'USER_ID_INVALID'],
      ['a blank inside', { 'x-user-id': 'a b' }, 'USER_ID_INVALID'],
      ['256 characters', { 'x-user-id': 'x'.repeat(256) }, 'USER_ID_INVALID'],
      ['binary metadata of that name', { 'x-user-id-bin': 'YQ==' }, 'USER_ID_MISSING'],
    ])('refuses %s', async (_, headers, reason) => {
      const client = createClient(FileService, service.transport(protocol, headers));
      expect(await failureOf(call(client, 'some_key'))).toMatchObject({
        code: 'Unauthenticated',
        reason,
        domain: 'files.v1',
      });
    });
  });

  it('answers for the file of another user as for a file that never existed', async () => {
    const owner = newUser();
    const stranger = newUser();
    const answer = await service.as(owner).createPresignedUpload(file('secret.txt', `of ${owner}`));
    await put(answer, `of ${owner}`);
    await service.as(owner).listFiles({});
    const never = `${owner}_never.txt`;
    const asSeen = async (key: string) => {
      const outcome = await call(service.as(stranger), key).then(
        (message) => ({ message: JSON.stringify(message, (_, v) => (typeof v === 'bigint' ? `${v}` : v)) }),
        async () => ({ failure: await failureOf(call(service.as(stranger), key)) }),
      );
      // Removes the key, which the stranger has sent, and the time and signature of URLs.
      return JSON.stringify(outcome)
        .replaceAll(key, 'KEY')
        .replace(/X-Amz-[^"]*|\\"expireTime\\":\{[^}]*\}/g, '');
    };
    expect(await asSeen(answer.s3Key)).toBe(await asSeen(never));
    // The owner's file is unchanged.
    const { files } = await service.as(owner).listFiles({});
    expect(files.map(({ s3Key }) => s3Key)).toEqual([answer.s3Key]);
  });
});

it('refuses two user id headers, and a user id that is not ASCII', async () => {
  const grpc = new (makeGenericClientConstructor(
    {
      list: {
        path: '/files.v1.FileService/ListFiles',
        requestStream: false,
        responseStream: false,
        requestSerialize: () => Buffer.alloc(0),
        requestDeserialize: () => undefined,
        responseSerialize: () => Buffer.alloc(0),
        responseDeserialize: () => undefined,
      },
    },
    'list',
  ))(service.grpcUrl.replace('http://', ''), credentials.createInsecure());
  const metadata = new Metadata();
  metadata.add('x-user-id', 'a');
  metadata.add('x-user-id', 'b');
  const error = await new Promise<ServiceError>((resolve) => {
    grpc.list?.({}, metadata, (failure: ServiceError) => resolve(failure));
  });
  grpc.close();
  expect(error.details).toMatch(/x-user-id must be one value/);

  const response = await fetch(`${service.httpUrl}/files.v1.FileService/ListFiles`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-user-id': 'J\u00fcrgen' },
    body: '{}',
  });
  expect(response.status).toBe(401);
});

it('keeps users apart whose ids and filenames would form the same unescaped key', async () => {
  const pairs = [
    ['a', 'b_c.txt'],
    ['a_b', 'c.txt'],
    ['a.5Fb', 'c.txt'],
    ['Alice', 'x.txt'],
    ['alice', 'x.txt'],
    ['a/b', 'x.txt'],
    ['../a', 'x.txt'],
    ['%61', 'x.txt'],
  ] as const;
  const keys: string[] = [];
  for (const [user, filename] of pairs) {
    const answer = await service.as(user).createPresignedUpload(file(filename, 'the very same bytes'));
    // EXISTING would reveal that another user has a file with this MD5.
    expect(answer.type).toBe(UploadType.NEW);
    expect(await put(answer, 'the very same bytes')).toMatchObject({ status: 200 });
    keys.push(answer.s3Key);
  }
  expect(new Set(keys).size).toBe(pairs.length);
  for (const [i, [user]] of pairs.entries()) {
    const { files } = await service.as(user).listFiles({});
    expect(files.map(({ s3Key }) => s3Key)).toEqual([keys[i]]);
    await service.as(user).deleteFile({ s3Key: keys[i] ?? '' });
  }
  expect((await service.bucket.keys()).filter((key) => keys.includes(key))).toEqual([]);
});

it('accepts every visible ASCII character but the comma in a user id', async () => {
  const all = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i)).join('');
  const user = all.replace(',', '');
  const answer = await service.as(user).createPresignedUpload(file('a.txt', 'odd'));
  expect(answer.s3Key).toMatch(/^[A-Za-z0-9.-]+_a\.txt$/);
  expect(await put(answer, 'odd')).toMatchObject({ status: 200 });
  expect((await service.as(user).listFiles({})).files).toHaveLength(1);

  const longest = '_'.repeat(255);
  const long = await service.as(longest).createPresignedUpload(file(`${'n'.repeat(251)}.txt`, 'long'));
  expect(Buffer.byteLength(long.s3Key)).toBe(240);
  expect(await put(long, 'long')).toMatchObject({ status: 200 });
  expect((await service.as(longest).listFiles({})).files).toHaveLength(1);
});

it('refuses a page token of another user', async () => {
  const owner = newUser();
  const stranger = newUser();
  for (const bytes of ['1', '2', '3']) {
    await put(await service.as(owner).createPresignedUpload(file(`${bytes}.txt`, bytes)), bytes);
  }
  const { nextPageToken } = await service.as(owner).listFiles({ pageSize: 1 });
  expect(nextPageToken).not.toBe('');
  expect(await failureOf(service.as(stranger).listFiles({ pageToken: nextPageToken }))).toMatchObject(
    invalid('INVALID_PAGE_TOKEN', 'page_token'),
  );
});

describe('GATEWAY_AUTH=token', () => {
  const OLD = 'old-token-0123456789';
  const NEW = 'new-token-0123456789';
  const listWith = (running: TestService, headers: Record<string, string>) =>
    createClient(FileService, running.transport('gRPC', { 'x-user-id': 'u', ...headers })).listFiles({});

  it('accepts each of the configured tokens, and refuses all others', async () => {
    await using rotating = await startTestService({ GATEWAY_AUTH: 'token', GATEWAY_TOKENS: `${OLD},${NEW}` });
    await using rotated = await startTestService({ GATEWAY_AUTH: 'token', GATEWAY_TOKENS: NEW });
    for (const token of [OLD, NEW]) await listWith(rotating, { 'x-gateway-token': token });
    await listWith(rotated, { 'x-gateway-token': NEW });
    for (const headers of [
      {},
      { 'x-gateway-token': OLD },
      { 'x-gateway-token': `${NEW}x` },
      { 'x-gateway-token': '' },
    ]) {
      expect(await failureOf(listWith(rotated, headers as Record<string, string>))).toMatchObject({
        code: 'Unauthenticated',
        reason: 'GATEWAY_UNTRUSTED',
      });
    }
  });
});
