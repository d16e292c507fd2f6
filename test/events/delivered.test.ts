import { fromJsonString } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import {
  type DeliverFileEventRequest,
  DeliverFileEventRequestSchema,
  FileChange,
} from '../../gen/files/v1/file_events_service_pb.ts';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { total } from '../harness/metrics.ts';
import { startTestService } from '../harness/service.ts';
import { upload } from '../harness/upload.ts';
import { startGrpcConsumer } from './grpc-consumer.ts';
import { startHttpConsumer } from './http-consumer.ts';

const TOKEN = 'a-token-of-the-consumer';

/** A consumer over one of the transports, and the service that delivers to it. */
async function startServiceWithConsumer(transport: 'grpc' | 'http') {
  const grpc = transport === 'grpc' ? await startGrpcConsumer() : undefined;
  const http = transport === 'http' ? await startHttpConsumer() : undefined;
  const url = grpc?.url ?? http?.url ?? expect.fail();
  const service = await startTestService({
    EVENTS_URL: url.href,
    EVENTS_TOKEN: TOKEN,
    VERIFICATION_TTL_SECONDS: '1',
  });
  return {
    service,
    /** The messages about a file, in the order of their arrival. */
    about(s3Key: string): DeliverFileEventRequest[] {
      const messages =
        grpc?.received.map(({ message }) => message) ??
        http?.received.map(({ body }) => fromJsonString(DeliverFileEventRequestSchema, body.toString())) ??
        [];
      return messages.filter(({ file }) => file?.s3Key === s3Key);
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await service[Symbol.asyncDispose]();
      await grpc?.[Symbol.asyncDispose]();
      await http?.[Symbol.asyncDispose]();
    },
  };
}

/** All of visible ASCII and Latin-1 that a name may have, and characters that parsers and headers get wrong. */
const NAMES = [
  charactersFrom(0x20, 0x7e).replace(/[/\\]/g, ''),
  charactersFrom(0xa0, 0xff),
  '\u2028\u2029\ufeff\u200b\u200d\u00ad\u3000',
  '\ufffe\uffff\ufdd0\u{1ffff}\u{10ffff}\ue000\u{f0000}',
  '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}\u{1f3f4}\u{e0067}\u{e007f} \u0627\u0644 \u05d0 \u0e01\u0e33',
  '%00%0d%0a&#0;<!--"\'`$(x){{x}}.pdf',
  '\u{1f600}'.repeat(255),
];

/** The key of a file begins with its user, or with a hash of a long user. Over HTTP, the key is a header, too. */
const USERS = [
  ['with marks', 'a%b"c~|{}<>'],
  ['with an apostrophe', "o'hara@example.org"],
  ['of 255 percent signs', '%'.repeat(255)],
];

function charactersFrom(first: number, last: number): string {
  return String.fromCodePoint(...Array.from({ length: last - first + 1 }, (_, n) => first + n));
}

describe.each(['grpc', 'http'] as const)('events over %s', (transport) => {
  const fixture = forAllTests(() => startServiceWithConsumer(transport));

  const changesOf = (s3Key: string) => fixture.about(s3Key).map(({ change }) => change);

  it('tell that a file is READY, as GetFile answers, and that it was deleted', async () => {
    const client = fixture.service.as('alice');
    const s3Key = await upload(client, 'Prüfung 日本 \u{1f600}.txt', 'hello');
    const { file } = await client.getFile({ s3Key });
    expect(file?.state).toBe(FileState.READY);
    await expect.poll(() => changesOf(s3Key)).toEqual([FileChange.READY]);
    await client.deleteFile({ s3Key });
    await expect.poll(() => changesOf(s3Key)).toEqual([FileChange.READY, FileChange.DELETED]);

    const [ready, deleted] = fixture.about(s3Key);
    expect(ready?.file).toEqual(file);
    expect([ready?.userId, deleted?.userId]).toEqual(['alice', 'alice']);
    expect(deleted?.file).toEqual({ ...file, filename: '', state: FileState.UNSPECIFIED });
    expect(deleted?.revision).toBeGreaterThan(ready?.revision ?? 0n);
    expect(ready?.eventId).toBe(`${s3Key}:${ready?.revision}`);
    const age = Date.now() - Number(ready?.eventTime?.seconds) * 1_000;
    expect(age).toBeGreaterThan(-1_000);
    expect(age).toBeLessThan(30_000);
  });

  it.each(USERS)('carry names with every kind of character, of a user %s', async (_, user = '') => {
    const client = fixture.service.as(user);
    for (const name of NAMES) {
      const s3Key = await upload(client, name, `the file ${name}`);
      const { file } = await client.getFile({ s3Key });
      await expect.poll(() => changesOf(s3Key)).toEqual([FileChange.READY]);
      const [event] = fixture.about(s3Key);
      expect(event?.file).toEqual(file);
      expect([event?.userId, event?.file?.filename]).toEqual([user, name]);
    }
  });

  it('come within six seconds if no call follows the upload', async () => {
    const s3Key = await upload(fixture.service.as('bob'), 'a.txt', 'no call follows');
    const sent = performance.now();
    await expect.poll(() => changesOf(s3Key), { timeout: 6_000 }).toEqual([FileChange.READY]);
    expect(performance.now() - sent).toBeLessThan(6_000);
  });

  it('tell of a cancelled upload that it was deleted, and nothing else', async () => {
    const client = fixture.service.as('carol');
    const { s3Key } = await client.createPresignedUpload({
      filename: 'a.txt',
      mimeType: 'text/plain',
      md5: '5d41402abc4b2a76b9719d911017c592',
    });
    await client.deleteFile({ s3Key });
    await expect.poll(() => changesOf(s3Key)).toEqual([FileChange.DELETED]);
    const [{ file } = expect.fail()] = fixture.about(s3Key);
    expect([file?.size, file?.etag, file?.lastModified]).toEqual([0n, '', undefined]);
  });

  it('tell of a file whose object disappeared that it was lost, and READY when it is uploaded again', async () => {
    const client = fixture.service.as('dave');
    const s3Key = await upload(client, 'a.txt', 'will be lost');
    await client.getFile({ s3Key });
    await expect.poll(() => changesOf(s3Key)).toEqual([FileChange.READY]);
    await fixture.service.bucket.remove(s3Key);
    await expect.poll(() => client.getFile({ s3Key }).catch(() => 'lost'), { timeout: 5_000 }).toBe('lost');
    await expect.poll(() => changesOf(s3Key)).toEqual([FileChange.READY, FileChange.LOST]);
    expect(fixture.about(s3Key)[1]?.file).toMatchObject({ filename: 'a.txt', state: FileState.UNSPECIFIED });
    expect(await upload(client, 'a.txt', 'will be lost')).toBe(s3Key);
    await client.getFile({ s3Key });
    await expect.poll(() => changesOf(s3Key)).toEqual([FileChange.READY, FileChange.LOST, FileChange.READY]);
  });

  it('are acknowledged, counted, and leave nothing in the queue', async () => {
    const { service } = fixture;
    const undelivered = async () => {
      const { rows } = await service.pool.query('select from files where event_due_at is not null');
      return rows.length;
    };
    await expect.poll(undelivered).toBe(0);
    const delivered = await total(service.httpUrl, 'files_events_total', { outcome: 'delivered' });
    expect(delivered).toBe(await total(service.httpUrl, 'files_events_total'));
    expect(delivered).toBeGreaterThan(6);
    await expect
      .poll(() => total(service.httpUrl, 'files_oldest_event_age_seconds'), { timeout: 3_000 })
      .toBe(0);
  });
});
