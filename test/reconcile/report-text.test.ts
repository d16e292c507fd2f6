/** The report of `npm run reconcile` as a person reads it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { startTestService } from '../harness/service.ts';
import { LEAST_AGE, NO_AGE_GUARD, range, removeAll, run, uploadFiles } from './fixture.ts';

// The interval is long, so that no sweeper repairs a difference before the command does.
const service = forAllTests(() => startTestService({ SWEEP_INTERVAL_SECONDS: '3600' }));
afterEach(() => removeAll(service));

async function uploadAndLoseRows(count: number, lost: number): Promise<void> {
  const keys = await uploadFiles(service, newUser(), range(count));
  await service.pool.query('delete from files where s3_key = any($1)', [keys.slice(-lost)]);
}

it('names ten keys of a kind, and says how many more there are', async () => {
  await uploadAndLoseRows(12, 12);
  const { code, text } = await run(service, []);
  expect(code).toBe(1);
  const lines = text.split('\n');
  const title = lines.findIndex((line) => line.includes('too young to remove'));
  expect(lines.slice(title, title + 12)).toEqual([
    expect.stringMatching(/^ +12 {2}objects without a row that are too young to remove, \d+ bytes$/),
    ...range(10).map(() => expect.stringMatching(/^ {12}"\S+"$/)),
    '            … and 2 more',
  ]);
});

it('points out a lost tail once: as attention, or with --repair as the reason of a refusal', async () => {
  await uploadAndLoseRows(30, 1);
  await sleep(1_200);
  const lost = '1 object[^\n]* without a row';
  const { text } = await run(service, LEAST_AGE, NO_AGE_GUARD);
  expect(text).toMatch(new RegExp(`^attention: ${lost}`, 'm'));
  expect(text).not.toContain('refused: ');
  const repaired = await run(service, ['--repair', ...LEAST_AGE], NO_AGE_GUARD);
  expect(repaired.text).toMatch(new RegExp(`^refused: ${lost}`, 'm'));
  expect(repaired.text).not.toContain('attention: ');
});

it('takes a minimum age that is long enough for the settings', async () => {
  const longUploads = { LONGEST_UPLOAD_SECONDS: '604800' };
  expect(await run(service, [], longUploads)).toMatchObject({ code: 0 });
  const refused = await run(service, ['--min-age-hours', '48'], longUploads);
  expect(refused.code).toBe(2);
  expect(refused.text).toMatch(/^--min-age-hours must be at least 16[89]\.\d\d: /);
});
