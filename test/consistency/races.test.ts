import { afterEach, describe, expect, it, vi } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { LONG } from '../harness/long-form.ts';
import { md5, newUser } from '../harness/random.ts';
import { answered, jitter, openRacesFixture, rounds, times, upload } from './races-fixture.ts';

// All tests together take a few seconds on an idle machine.
vi.setConfig({ testTimeout: LONG ? 600_000 : 60_000 });

const CAP = 8;
const fixture = forAllTests(() => openRacesFixture(2, { pendingMax: CAP }));
afterEach(async () => {
  await fixture.pool.query('delete from files');
  expect(fixture.errors.splice(0)).toEqual([]);
});

describe('fifty creates of one content at once', () => {
  it('make one row and one key, and fifty times EXISTING after the upload', async () => {
    for (let round = 0; round < rounds(5); round++) {
      const user = newUser();
      const fifty = () => times(50, (i) => fixture.instance(i).create(user, `${i}.txt`, 'one content'));
      const answers = await fifty();
      expect(new Set(answers.map(({ s3Key }) => s3Key)).size).toBe(1);
      expect(new Set(answers.map(({ type }) => type))).toEqual(new Set(['new']));
      expect(await fixture.rows(user)).toHaveLength(1);

      // Each caller may use its answer, all at the same time.
      const statuses = await Promise.all(answers.slice(0, 6).map((answer) => upload(answer, 'one content')));
      expect(new Set(statuses)).toEqual(new Set([200]));
      const again = await fifty();
      expect(new Set(again.map(({ type, s3Key }) => `${type} ${s3Key}`))).toEqual(
        new Set([`existing ${answers[0]?.s3Key}`]),
      );
      expect(await fixture.rows(user)).toMatchObject([{ state: 'ready' }]);
      expect(await fixture.instance(round).list(user)).toHaveLength(1);
    }
  });
});

describe('a delete against creates of the same content', () => {
  it.each(['ready', 'pending'] as const)(
    'of a %s file: each create is ordered before or after it',
    async (state) => {
      for (let round = 0; round < rounds(15); round++) {
        const [user, content] = [newUser(), 'deleted and created'];
        const first = await fixture.instance(0).create(user, 'a.txt', content);
        if (state === 'ready') await upload(first, content);
        if (state === 'ready') await fixture.instance(0).list(user);
        const old = first.s3Key;

        let deleted = false;
        const uploadedKeys = new Set<string>();
        const creating = times(8, async (i) => {
          await jitter(6);
          const afterIt = deleted;
          const answer = await fixture.instance(i).create(user, 'a.txt', content);
          if (afterIt) expect(answer.s3Key, 'the key of a deleted file was handed out').not.toBe(old);
          if (answer.type === 'new') {
            // A client may use the URL of a pending file after the file was deleted. That must not bring the
            // file back.
            expect(await upload(answer, content)).toBe(200);
            if (answer.s3Key !== old) uploadedKeys.add(answer.s3Key);
          } else if (answer.s3Key !== old) {
            expect(await fixture.read(answer.s3Key), 'EXISTING was false').toBe(content);
          } else {
            // EXISTING for the old file means that the delete came later.
            expect(afterIt, 'EXISTING was false: the file had been deleted').toBe(false);
          }
        });
        const deleting = (async () => {
          await jitter(6);
          await fixture.instance(1).delete(user, old);
          deleted = true;
        })();
        await Promise.all([creating, deleting]);

        expect(await answered(fixture.instance(0).get(user, old))).toBe('FILE_NOT_FOUND');
        const listed = await fixture.instance(0).list(user);
        expect(
          listed.map(({ s3Key }) => s3Key),
          'an acknowledged upload was lost',
        ).toEqual([...uploadedKeys]);
        await fixture.settle();
        expect(await fixture.rows(user)).toMatchObject(
          [...uploadedKeys].map((s3_key) => ({ s3_key, state: 'ready' })),
        );
        expect(await fixture.keys(user)).toEqual([...uploadedKeys]);
      }
    },
  );
});

describe('a delete against list, get and download while the upload lands', () => {
  it('wins, and the bytes are removed', async () => {
    for (let round = 0; round < rounds(25); round++) {
      const [user, content] = [newUser(), `landing ${round}`];
      const answer = await fixture.instance(0).create(user, 'a.txt', content);
      const key = answer.s3Key;
      let deleted = false;
      const read = async (i: number) => {
        await jitter(12);
        const afterIt = deleted;
        const instance = fixture.instance(i);
        const seen = i % 2 ? await instance.list(user) : [await answered(instance.get(user, key))];
        const files = seen.filter((file) => typeof file === 'object');
        if (afterIt) expect(files, 'a deleted file was shown').toEqual([]);
        for (const file of files) expect(file.s3Key, 'a row of another user').toBe(key);
      };
      await Promise.all([
        times(10, read),
        (async () => {
          await jitter(4);
          expect(await upload(answer, content)).toBe(200);
        })(),
        (async () => {
          await jitter(16);
          await fixture.instance(1).delete(user, key);
          deleted = true;
        })(),
      ]);
      expect(await fixture.instance(0).list(user)).toEqual([]);
      expect(await answered(fixture.instance(1).download(user, key))).toBe('FILE_NOT_FOUND');
      await fixture.settle();
      expect(await fixture.rows(user)).toEqual([]);
      expect(await fixture.keys(user), 'an acknowledged delete was lost').toEqual([]);
    }
  });
});

describe('a create against the last sweep of an upload', () => {
  it('keeps the file or creates a new one, and the uploaded bytes stay', async () => {
    for (let round = 0; round < rounds(8); round++) {
      const users = Array.from({ length: 10 }, newUser);
      const content = `asked again ${round}`;
      for (const user of users) await fixture.instance(0).create(user, 'a.txt', content);
      // Purgeable and due: the next sweep purges or expires these files, unless a create comes first.
      await fixture.later(3 * 86_400);
      const creating = users.map(async (user, i) => {
        await jitter(12);
        const answer = await fixture.instance(i).create(user, 'a.txt', content);
        expect(await upload(answer, content)).toBe(200);
      });
      const sweeping = fixture.instances.map(async (instance) => {
        await jitter(6);
        await instance.sweep();
      });
      await Promise.all([...creating, ...sweeping]);
      for (const user of users) {
        const files = await fixture.instance(1).list(user);
        expect(files, 'an acknowledged upload was lost').toMatchObject([{ filename: 'a.txt' }]);
      }
    }
  });
});

describe('two sweepers on the same due rows', () => {
  it('sweep each row exactly once per lease and lose none', async () => {
    for (let round = 0; round < rounds(1); round++) {
      const made = await times(40, async (i) => {
        const [user, content] = [newUser(), `swept ${i}`];
        const answers = await times(5, (n) => fixture.instance(i).create(user, `${n}.txt`, content + n));
        // The five uploads: uploaded; never uploaded; deleted; deleted and then uploaded; never uploaded.
        await Promise.all([0, 3].map(async (n) => answers[n] && upload(answers[n], content + n)));
        await Promise.all(
          [2, 3].map(async (n) => answers[n] && fixture.instance(i).delete(user, answers[n].s3Key)),
        );
        if (answers[3]) await upload(answers[3], `${content}3`);
        return { user, keys: answers.map(({ s3Key }) => s3Key) };
      });
      const all = made.flatMap(({ keys }) => keys);

      // Due, but not purgeable: the sweepers verify every row and may purge none.
      await fixture.later(60);
      const early = await Promise.all(fixture.instances.map((instance) => instance.sweep()));
      expect(early.flatMap(({ leased }) => leased).sort(), 'once per lease').toEqual(all.toSorted());
      expect(Math.min(...early.map(({ leased }) => leased.length)), 'both took part').toBeGreaterThan(0);
      const outcomes = (sweeps: typeof early, n: number) =>
        new Set(
          made.map(({ keys }) => sweeps.map((sweep) => sweep.outcomes.get(keys[n] ?? '')).find(Boolean)),
        );
      expect([0, 1, 2, 3, 4].map((n) => [...outcomes(early, n)])).toEqual([
        ['verified'],
        ['rescheduled'],
        ['rescheduled'],
        ['rescheduled'],
        ['rescheduled'],
      ]);
      // The replayed URL has written the deleted file's bytes again, and the sweeper has removed them again.
      const inBucket = await Promise.all(made.map(({ user }) => fixture.keys(user)));
      expect(inBucket).toEqual(made.map(({ keys }) => keys.slice(0, 1)));

      await fixture.later(3 * 86_400);
      const late = await Promise.all(fixture.instances.map((instance) => instance.sweep()));
      expect(late.flatMap(({ leased }) => leased).sort()).toEqual(
        made.flatMap(({ keys }) => keys.slice(1)).toSorted(),
      );
      await fixture.settle();
      for (const { user, keys } of made) {
        expect(await fixture.rows(user)).toMatchObject([{ s3_key: keys[0], state: 'ready' }]);
      }
    }
  });
});

describe('lists while an upload lands', () => {
  it('show it only with its bytes, and the first list after the 200 shows it', async () => {
    for (let round = 0; round < rounds(25); round++) {
      const [user, content] = [newUser(), `listed ${round}`];
      const answer = await fixture.instance(0).create(user, 'a.txt', content);
      let landed = false;
      const reading = times(8, async (i) => {
        for (let again = 0; again < 3; again++) {
          await jitter(5);
          const afterIt = landed;
          const files = await fixture.instance(i).list(user);
          if (afterIt) expect(files, 'S3 had said 200').toHaveLength(1);
          if (files.length === 0) continue;
          expect(files).toMatchObject([
            { s3Key: answer.s3Key, fingerprint: md5(content, 'hex'), size: content.length },
          ]);
          const { download } = await fixture.instance(i).download(user, answer.s3Key);
          expect(await (await fetch(download.url)).text(), 'READY without its bytes').toBe(content);
        }
      });
      const landing = (async () => {
        await jitter(5);
        expect(await upload(answer, content)).toBe(200);
        landed = true;
        expect(await fixture.instance(1).list(user), 'the very next list').toHaveLength(1);
      })();
      await Promise.all([reading, landing]);
    }
  });
});

describe('creates at the pending cap, from two instances', () => {
  it('succeed exactly up to the cap while others cancel, repeat and upload', async () => {
    for (let round = 0; round < rounds(6); round++) {
      const user = newUser();
      const outcomes = await times(30, (i) => answered(fixture.instance(i).create(user, `${i}.txt`, `${i}`)));
      const made = outcomes.filter((outcome) => typeof outcome === 'object');
      expect(made).toHaveLength(CAP);
      expect(new Set(outcomes.filter((outcome) => typeof outcome === 'string'))).toEqual(
        new Set(['TOO_MANY_PENDING_UPLOADS']),
      );

      // Half of the uploads end, in two ways, while as many other creates want their slots, and other uploads
      // are renewed.
      const [cancelled, landing, kept] = [made.slice(0, 2), made.slice(2, 4), made.slice(4)];
      await Promise.all([
        ...cancelled.map(async ({ s3Key }) => {
          await jitter(5);
          await fixture.instance(0).delete(user, s3Key);
        }),
        ...landing.map(async (answer) => {
          const content = outcomes.indexOf(answer);
          expect(await upload(answer, `${content}`)).toBe(200);
          await fixture.instance(1).list(user);
        }),
        ...kept.map(async (answer, i) => {
          const content = outcomes.indexOf(answer);
          const again = await fixture.instance(i).create(user, `${content}.txt`, `${content}`);
          expect(again, 'a pending upload keeps its slot').toMatchObject({
            type: 'new',
            s3Key: answer.s3Key,
          });
        }),
        times(30, async (i) => {
          await jitter(10);
          await answered(fixture.instance(i).create(user, `more ${i}.txt`, `more ${i}`));
        }),
      ]);
      // Cancelled uploads keep their slots until their URLs have expired.
      const { rows } = await fixture.pool.query<{ taken: number; ready: number }>(
        `select count(*) filter (where state <> 'ready')::int as taken,
                count(*) filter (where state = 'ready')::int as ready from files where user_id = $1`,
        [user],
      );
      expect(rows[0]?.ready, 'an acknowledged upload was lost').toBe(landing.length);
      expect(rows[0]?.taken).toBeLessThanOrEqual(CAP);
      // Every free slot can be used again.
      const last = await times(10, (i) =>
        answered(fixture.instance(i).create(user, `last ${i}`, `last ${i}`)),
      );
      const free = CAP - (rows[0]?.taken ?? 0);
      expect(last.filter((outcome) => typeof outcome === 'object')).toHaveLength(free);
    }
  });
});
