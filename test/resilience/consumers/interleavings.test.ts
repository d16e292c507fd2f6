import { setTimeout as sleep } from 'node:timers/promises';
import { DeleteObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { Code, ConnectError } from '@connectrpc/connect';
import { expect, test, vi } from 'vitest';
import { startHttpConsumer } from '../../events/http-consumer.ts';
import { forAllTests } from '../../harness/for-all-tests.ts';
import { LONG } from '../../harness/long-form.ts';
import { startTestObjectStore } from '../../harness/object-store.ts';
import { md5 } from '../../harness/random.ts';
import { startService } from '../../harness/service-process.ts';
import type { FileClient } from '../../harness/upload.ts';
import { until } from '../outage.ts';
import { report } from '../outcome.ts';
import { countUndelivered } from './backlog.ts';
import { openServiceDatabase } from './service.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 });

const CALLERS = 8;
const STEPS = LONG ? 300 : 40;

const objects = forAllTests(() => startTestObjectStore());

interface Received {
  change: string;
  revision: number;
}

/** What was done to a key, so that an event can be checked. */
interface Done {
  uploaded: boolean;
  removed: boolean;
  deleted: boolean;
}

/** Ends well or with NOT_FOUND, because another caller has deleted the file. */
async function unlessGone<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (ConnectError.from(error).code === Code.NotFound) return undefined;
    throw error;
  }
}

test('two instances and callers that upload, delete, lose and repeat the same files', async (context) => {
  const received = new Map<string, Received[]>();
  await using consumer = await startHttpConsumer((_, response) => {
    const { body } = consumer.received.at(-1) ?? {};
    const { file, change, revision } = JSON.parse(String(body));
    received.set(file.s3Key, [...(received.get(file.s3Key) ?? []), { change, revision: Number(revision) }]);
    consumer.received.length = 0;
    setTimeout(() => response.end(), Math.random() * 20);
  });
  await using opened = await openServiceDatabase(objects, { consumer: consumer.url });
  const environment = { ...opened.environment, VERIFICATION_TTL_SECONDS: '0' };
  await using first = await startService({ environment });
  await using second = await startService({ environment });
  const client = (): FileClient =>
    (Math.random() < 0.5 ? first : second).client({ 'x-user-id': 'ada' }) as FileClient;
  const { endpoint, region, credentials, bucket: Bucket } = objects;
  const s3 = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  const done = new Map<string, Done>();
  const of = (s3Key: string): Done => {
    const known = done.get(s3Key) ?? { uploaded: false, removed: false, deleted: false };
    done.set(s3Key, known);
    return known;
  };
  let lost = 0;

  /** The callers share three contents under one name, so that they meet on the same rows and keys. */
  async function step(): Promise<void> {
    const content = `content ${Math.floor(Math.random() * 3)}`;
    const upload = await client().createPresignedUpload({
      filename: 'a.txt',
      mimeType: 'text/plain',
      md5: md5(content),
    });
    const { s3Key, presignedUrl, requiredHeaders } = upload;
    if (presignedUrl !== '') {
      of(s3Key).uploaded = true;
      await fetch(presignedUrl, { method: 'PUT', headers: requiredHeaders, body: content });
      if (Math.random() < 0.7) await unlessGone(client().getFile({ s3Key }));
    }
    const choice = Math.random();
    if (choice < 0.4) {
      of(s3Key).deleted = true;
      await unlessGone(client().deleteFile({ s3Key }));
    } else if (choice < 0.7) {
      of(s3Key).removed = true;
      await s3.send(new DeleteObjectCommand({ Bucket, Key: s3Key }));
      if ((await unlessGone(client().getFile({ s3Key }))) === undefined) lost++;
    }
  }

  const caller = async () => {
    for (let n = 0; n < STEPS; n++) await step();
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  await sleep(4_000);
  await until(async () => (await countUndelivered(opened.database)) === 0, 70_000);

  const events = [...received.values()].flat();
  let twice = 0;
  let backwards = 0;
  for (const [s3Key, changes] of received) {
    const revisions = changes.map(({ revision }) => revision);
    twice += revisions.length - new Set(revisions).size;
    backwards += revisions.filter((revision, at) => revision < Math.max(0, ...revisions.slice(0, at))).length;
    const { uploaded, removed, deleted } = of(s3Key);
    for (const { change } of changes) {
      const isTrue = { READY: uploaded, LOST: removed, DELETED: deleted, EXPIRED: removed };
      expect([s3Key, change, isTrue[change.slice('FILE_CHANGE_'.length) as keyof typeof isTrue]]).toEqual([
        s3Key,
        change,
        true,
      ]);
    }
    const newest = changes.toSorted((a, b) => a.revision - b.revision).at(-1)?.change;
    const file = await unlessGone(client().getFile({ s3Key }));
    // GetFile verifies, and may only now find that the object is gone.
    if (file === undefined) expect([s3Key, newest]).not.toEqual([s3Key, 'FILE_CHANGE_READY']);
    else expect([s3Key, newest]).toEqual([s3Key, 'FILE_CHANGE_READY']);
  }
  s3.destroy();
  report(
    context,
    'the newest event of each file is its state',
    `${events.length} events of ${received.size} files, ${lost} not found, ${twice} twice, ${backwards} after a newer one`,
  );
  expect(events.length).toBeGreaterThan(STEPS);
  expect(twice).toBe(0);
});
