import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { LONG } from '../harness/long-form.ts';
import { putTo } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import {
  answered,
  type Instance,
  jitter,
  openRacesFixture,
  PART_BYTES,
  rounds,
  times,
} from './races-fixture.ts';

vi.setConfig({ testTimeout: LONG ? 600_000 : 60_000 });

const fixture = forAllTests(() => openRacesFixture(2));
afterEach(async () => {
  await fixture.pool.query('delete from files');
  expect(fixture.errors.splice(0)).toEqual([]);
});

const film = (what: string): string[] =>
  ['1', '2', '3'].map((n) =>
    md5(`${what} ${n}`)
      .repeat(PART_BYTES)
      .slice(0, n === '3' ? 3 : PART_BYTES),
  );

/** @returns the status of each PUT */
async function putParts(instance: Instance, user: string, key: string, parts: string[], numbers: number[]) {
  const { urls } = await instance.presignParts(user, key, numbers);
  return Promise.all(
    urls.map(async ({ number, url, requiredHeaders }) => {
      const { status } = await putTo(url, requiredHeaders, parts[number - 1] ?? '');
      return status;
    }),
  );
}

const ALL = [1, 2, 3];

/** Checks the final state: a READY file has its bytes, the bucket has no other object, and no part is left. */
async function nothingElseIsLeft(user: string, whole: string | undefined, key?: string): Promise<void> {
  await fixture.settle();
  const keys = await fixture.keys(user);
  expect(await fixture.rows(user)).toMatchObject(keys.map((s3_key) => ({ s3_key, state: 'ready' })));
  expect(keys).toEqual(whole === undefined ? [] : [key ?? expect.any(String)]);
  for (const each of keys) expect(await fixture.read(each), 'READY without its bytes').toBe(whole);
  expect(await fixture.uploads(), 'parts are left').toEqual([]);
}

describe('twenty begins of one content at once', () => {
  it.each([
    ['of a new upload', 3],
    ['of an upload that S3 has lost', 5],
  ])('%s share one upload, and every part that a caller sends counts', async (which, short) => {
    for (let round = 0; round < rounds(short); round++) {
      const [user, parts] = [newUser(), film(`begun ${round}`)];
      if (which === 'of an upload that S3 has lost') {
        await fixture.instance(0).begin(user, 'a.mp4', parts);
        await fixture.abortAll();
      }
      const landed = new Set<number>();
      const keys = await times(20, async (i) => {
        await jitter(10);
        const instance = fixture.instance(i);
        const answer = await instance.begin(user, 'a.mp4', parts);
        if (answer.type !== 'new') throw new Error('the upload is already complete');
        // A caller may use the upload as soon as it has the answer.
        const number = 1 + (i % 3);
        expect(
          await putParts(instance, user, answer.s3Key, parts, [number]),
          'the upload does not exist',
        ).toEqual([200]);
        landed.add(number);
        return answer.s3Key;
      });
      const [key = ''] = keys;
      expect(new Set(keys).size).toBe(1);
      expect(
        await fixture.instance(round).begin(user, 'a.mp4', parts),
        'acknowledged parts were lost',
      ).toMatchObject({
        missingPartNumbers: ALL.filter((number) => !landed.has(number)),
      });
      expect(await fixture.instance(round).complete(user, key)).toMatchObject({ state: 'ready' });
      await nothingElseIsLeft(user, parts.join(''));
    }
  });
});

/** An upload with all its parts. */
async function uploaded(what: string) {
  const [user, parts] = [newUser(), film(what)];
  const { s3Key: key } = await fixture.instance(0).begin(user, 'a.mp4', parts);
  expect(await putParts(fixture.instance(0), user, key, parts, ALL)).toEqual([200, 200, 200]);
  return { user, parts, key, whole: parts.join('') };
}

/** Repeats the call until it is answered: S3 may still assemble the object and tell the second caller so. */
async function complete(instance: Instance, user: string, key: string) {
  for (;;) {
    const outcome = await answered(instance.complete(user, key));
    if (outcome !== 'STORAGE_UNAVAILABLE') return outcome;
    await sleep(5);
  }
}

describe('completes of one upload at once', () => {
  it('make one file, and each call returns it', async () => {
    for (let round = 0; round < rounds(8); round++) {
      const { user, key, whole } = await uploaded(`completed ${round}`);
      const outcomes = await times(6, async (i) => {
        await jitter(10);
        return complete(fixture.instance(i), user, key);
      });
      for (const outcome of outcomes) expect(outcome).toMatchObject({ state: 'ready', size: whole.length });
      await nothingElseIsLeft(user, whole, key);
    }
  });
});

describe('completes against a delete', () => {
  it('leave the file deleted', async () => {
    for (let round = 0; round < rounds(12); round++) {
      const { user, key } = await uploaded(`completed and deleted ${round}`);
      await Promise.all([
        times(2, async (i) => {
          await jitter(15);
          // The complete was ordered before the delete, after it, or its parts were removed at this moment.
          const outcome = await complete(fixture.instance(i), user, key);
          if (typeof outcome === 'string') expect(['FILE_NOT_FOUND', 'UPLOAD_INCOMPLETE']).toContain(outcome);
        }),
        (async () => {
          await jitter(25);
          await fixture.instance(1).delete(user, key);
        })(),
      ]);
      expect(await fixture.instance(0).list(user)).toEqual([]);
      await nothingElseIsLeft(user, undefined);
    }
  });
});

describe('begins against a delete', () => {
  it('are ordered before it, or get another key whose parts the delete does not remove', async () => {
    for (let round = 0; round < rounds(10); round++) {
      const [user, parts] = [newUser(), film(`begun and deleted ${round}`)];
      const { s3Key: old } = await fixture.instance(0).begin(user, 'a.mp4', parts);
      let deleted = false;
      const begun = await Promise.all([
        ...Array.from({ length: 4 }, async (_, i) => {
          await jitter(15);
          const afterIt = deleted;
          const answer = await fixture.instance(i).begin(user, 'a.mp4', parts);
          if (afterIt) expect(answer.s3Key, 'the key of a deleted file was handed out').not.toBe(old);
          return answer.s3Key;
        }),
        (async () => {
          await jitter(15);
          await fixture.instance(1).delete(user, old);
          deleted = true;
          return old;
        })(),
      ]);
      expect(await answered(fixture.instance(0).complete(user, old))).toBe('FILE_NOT_FOUND');
      const others = new Set(begun.filter((key) => key !== old));
      expect(others.size).toBeLessThanOrEqual(1);
      const [key] = others;
      if (key !== undefined) {
        expect(await putParts(fixture.instance(0), user, key, parts, ALL)).toEqual([200, 200, 200]);
        expect(await complete(fixture.instance(1), user, key)).toMatchObject({ state: 'ready' });
      }
      await nothingElseIsLeft(user, key === undefined ? undefined : parts.join(''), key);
    }
  });
});

/**
 * No call has renewed the upload for a week and a day: the next sweep expires it, unless a call comes first.
 */
const OUTLIVED_SECONDS = 8 * 86_400 + 60;

describe('a sweeper that expires an upload', () => {
  it('removes no part of an upload that is resumed at this moment', async () => {
    for (let round = 0; round < rounds(5); round++) {
      const resuming = await times(6, async (i) => {
        const [user, parts] = [newUser(), film(`resumed ${round}`)];
        const { s3Key } = await fixture.instance(i).begin(user, 'a.mp4', parts);
        await putParts(fixture.instance(i), user, s3Key, parts, [1, 2]);
        return { user, parts };
      });
      await fixture.later(OUTLIVED_SECONDS);
      const clients = resuming.map(async ({ user, parts }, i) => {
        await jitter(25);
        const instance = fixture.instance(i);
        const answer = await instance.begin(user, 'a.mp4', parts);
        if (answer.type !== 'new') throw new Error('the upload is already complete');
        // S3 holds exactly the other parts: only part 3 is missing, or all parts must be sent.
        expect(['3', '1,2,3']).toContain(answer.missingPartNumbers.join());
        await jitter(10);
        const statuses = await putParts(instance, user, answer.s3Key, parts, answer.missingPartNumbers);
        expect(new Set(statuses), 'its upload was aborted').toEqual(new Set([200]));
        expect(await complete(instance, user, answer.s3Key), 'parts were lost').toMatchObject({
          state: 'ready',
        });
      });
      const sweeping = fixture.instances.map(async (instance) => {
        await jitter(10);
        await instance.sweep();
      });
      await Promise.all([...clients, ...sweeping]);
      await fixture.settle();
      for (const { user, parts } of resuming) await nothingElseIsLeft(user, parts.join(''));
    }
  });

  it('leaves no object without a file and no file without its bytes if the upload is completed at this moment', async () => {
    for (let round = 0; round < rounds(5); round++) {
      const completing = await times(6, () => uploaded(`completed late ${round}`));
      await fixture.later(OUTLIVED_SECONDS);
      const outcomes = completing.map(async ({ user, key }, i) => {
        await jitter(25);
        return complete(fixture.instance(i), user, key);
      });
      const sweeping = fixture.instances.map(async (instance) => {
        await jitter(10);
        await instance.sweep();
      });
      await Promise.all(sweeping);
      for (const [i, outcome] of (await Promise.all(outcomes)).entries()) {
        const { user, key, whole } = completing[i] ?? { user: '', key: '', whole: '' };
        if (outcome !== 'FILE_NOT_FOUND') expect(outcome).toMatchObject({ state: 'ready' });
        await nothingElseIsLeft(user, outcome === 'FILE_NOT_FOUND' ? undefined : whole, key);
      }
    }
  });
});

describe('two processes that resume one upload', () => {
  it.each(['under way', 'that S3 has lost', 'whose id was never committed'])(
    '%s, send the missing parts into one upload',
    async (which) => {
      for (let round = 0; round < rounds(4); round++) {
        const [user, parts] = [newUser(), film(`resumed by two ${round}`)];
        const { s3Key: key } = await fixture.instance(0).begin(user, 'a.mp4', parts);
        await putParts(fixture.instance(0), user, key, parts, [1]);
        if (which === 'that S3 has lost') await fixture.abortAll();
        if (which === 'whose id was never committed')
          await fixture.pool.query('update files set upload_id = null');
        const made = await times(2, async (i) => {
          await jitter(10);
          const instance = fixture.instance(i);
          const answer = await instance.begin(user, 'a.mp4', parts);
          // The other process has already completed the upload.
          if (answer.type !== 'new') return 'ready';
          await Promise.all(
            answer.missingPartNumbers.map(async (number) => {
              const statuses = await answered(putParts(instance, user, key, parts, [number]));
              // The other process may have completed the upload while this process sends parts again.
              expect(['200', '404', 'UPLOAD_COMPLETE']).toContain(String(statuses));
            }),
          );
          return complete(instance, user, key);
        });
        for (const outcome of made)
          if (outcome !== 'ready') expect(outcome).toMatchObject({ state: 'ready' });
        await nothingElseIsLeft(user, parts.join(''), key);
      }
    },
  );
});
