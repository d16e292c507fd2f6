import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { type Call, CallAbandonedError } from '../../src/files/call.ts';
import { DeadlineExceededError } from '../../src/files/deadline.ts';
import type { PendingFile, ReadyFile } from '../../src/files/file.ts';
import type { S3Key } from '../../src/files/rules/s3-key.ts';
import { type VerifyUploadsPorts, verifyUploads } from '../../src/files/verify-uploads.ts';

type Store = VerifyUploadsPorts['store'];

/** Has the object of each key, and records how many files each statement marks READY. */
function testPorts({ store = {}, head = async () => undefined as unknown }: Partial<Faults> = {}) {
  const marked: (number | S3Key)[] = [];
  const failures: unknown[] = [];
  const ready = (s3Key: S3Key) => ({ s3Key, state: 'ready' }) as ReadyFile;
  const ports = {
    objects: {
      async head(call: Call, s3Key: S3Key) {
        await head(call, s3Key);
        return {
          fingerprint: s3Key,
          isEtagOpaque: false,
          size: 3,
          mimeType: 'text/plain',
          contentEncoding: '',
        };
      },
    },
    store: {
      async markReady(_: Call, s3Key: S3Key) {
        marked.push(s3Key);
        return ready(s3Key);
      },
      async markReadyMany(_: Call, seen: ReadonlyMap<S3Key, unknown>) {
        marked.push(seen.size);
        return [...seen.keys()].map(ready);
      },
      ...store,
    },
    observer: { stepFailed: (_: string, reason: unknown) => failures.push(reason) },
  } as unknown as VerifyUploadsPorts;
  return { ports, marked, failures };
}

interface Faults {
  store: Partial<Store>;
  head: (call: Call, s3Key: S3Key) => Promise<unknown>;
}

const uploads = (count: number): PendingFile[] =>
  Array.from(
    { length: count },
    (_, i) =>
      ({
        s3Key: `${i}`,
        fingerprint: `${i}`,
        state: 'pending',
        mimeType: 'text/plain',
      }) as unknown as PendingFile,
  );

const call = (leftMs = 60_000): Call => ({ userId: 'ada', deadline: Date.now() + leftMs });

it('250 uploads that have arrived become READY with three statements', async () => {
  const { ports, marked } = testPorts();
  const { outcomes, unverified } = await verifyUploads(call(), ports, uploads(250));
  expect(marked).toEqual([100, 100, 50]);
  expect([...outcomes.values()].every(({ outcome }) => outcome === 'verified')).toBe(true);
  expect({ verified: outcomes.size, unverified }).toEqual({ verified: 250, unverified: 0 });
});

it('one upload is marked READY by itself', async () => {
  const { ports, marked } = testPorts();
  await verifyUploads(call(), ports, uploads(1));
  expect(marked).toEqual(['0']);
});

it('a file that the statement for many left out is marked by itself, and counts as deleted if that fails', async () => {
  const marked: S3Key[] = [];
  const { ports } = testPorts({
    store: {
      markReadyMany: async () => [{ s3Key: '0', state: 'ready' } as ReadyFile],
      async markReady(_, s3Key) {
        marked.push(s3Key);
        return s3Key === '1' ? ({ s3Key, state: 'ready' } as ReadyFile) : undefined;
      },
    },
  });
  const { outcomes, unverified } = await verifyUploads(call(), ports, uploads(3));
  expect(marked).toEqual(['1', '2']);
  const names = [...outcomes].map(([s3Key, { outcome }]) => `${s3Key} ${outcome}`).sort();
  expect(names).toEqual(['0 verified', '1 verified', '2 deleted']);
  expect(unverified).toBe(0);
});

it('when the time for S3 is up, the uploads that S3 has told about become READY in time', async () => {
  let heads = 0;
  let markedBefore: number | undefined;
  const { ports, failures } = testPorts({
    async head({ deadline }) {
      if (++heads <= 150) return;
      await sleep(deadline - Date.now());
      throw new DeadlineExceededError('late');
    },
    store: {
      async markReadyMany({ deadline }, seen) {
        markedBefore = deadline - Date.now();
        return [...seen.keys()].map((s3Key) => ({ s3Key, state: 'ready' }) as ReadyFile);
      },
    },
  });
  const { outcomes, unverified } = await verifyUploads(call(1_000), ports, uploads(900));
  expect({ verified: outcomes.size, unverified }).toEqual({ verified: 150, unverified: 750 });
  expect(markedBefore).toBeGreaterThan(0);
  expect(failures).toHaveLength(1);
});

it('an error of the store leaves the other uploads verified', async () => {
  let statements = 0;
  const { ports, failures } = testPorts({
    store: {
      async markReadyMany(_, seen) {
        if (++statements === 1) throw new Error('the database does not answer');
        return [...seen.keys()].map((s3Key) => ({ s3Key, state: 'ready' }) as ReadyFile);
      },
    },
  });
  const { outcomes, unverified } = await verifyUploads(call(), ports, uploads(250));
  expect({ verified: outcomes.size, unverified }).toEqual({ verified: 150, unverified: 100 });
  expect(failures).toHaveLength(1);
});

it('after the client has disconnected, no further upload is verified, and those that have arrived become READY', async () => {
  let asked = 0;
  const { ports, marked, failures } = testPorts({ head: async () => void (await sleep(1, asked++)) });
  const abandoned: Call = { ...call(), isAbandoned: () => asked >= 40 };
  await expect(verifyUploads(abandoned, ports, uploads(250))).rejects.toThrow(CallAbandonedError);
  expect(asked).toBeLessThan(40 + 32);
  expect(marked).toEqual([asked]);
  expect(failures).toEqual([]);
});
