import fc from 'fast-check';
import { expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { STORE_LIMITS } from '../harness/store-limits.ts';
import type { Rules } from './model.ts';
import { openModelFixture } from './model-fixture.ts';
import { run } from './model-run.ts';
import { counts } from './model-run-state.ts';
import { CANCELLED, EVENTS, MULTIPART, RARE, steps } from './model-steps.ts';

const RULES: Rules = {
  ...STORE_LIMITS,
  pendingMax: 3,
  pendingMultipartMax: 2,
  // Two files, so that most pages of a prefix are not full.
  examinedMax: 2,
};

const { TEST_LONG, TEST_RUNS, TEST_SEED, TEST_PATH } = process.env;
const runs = Number(TEST_RUNS || (TEST_LONG ? 2_000 : 90));
const seed = Number(TEST_SEED || Math.floor(Math.random() * 2 ** 31));

const fixture = forAllTests(() => openModelFixture(RULES));

it('every answer equals the model in random sequences of users, strangers, sweepers and time', {
  timeout: 1_800_000,
}, async () => {
  const startMs = performance.now();
  try {
    await fc.assert(
      fc.asyncProperty(steps, (sequence) => run(fixture, RULES, sequence)),
      {
        numRuns: runs,
        seed,
        examples: [...RARE, ...MULTIPART, ...CANCELLED, ...EVENTS].map((sequence) => [sequence]),
        ...(TEST_PATH && { path: TEST_PATH }),
      },
    );
  } finally {
    const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
    const { existingTrue, answersOwn, pagesShort, uploadsKept, deletesKept, ...done } = counts;
    process.stdout.write(
      `model: seed ${seed}, ${seconds} s; ${done.runs} runs, ${done.steps} steps, ${done.puts} PUTs, ` +
        `${done.putsLate} late and ${done.putsRefused} refused, ${done.sweeps} sweeps of ${done.rowsSwept} rows, ${pagesShort} pages not full and not the last; ${existingTrue} EXISTING ` +
        `were true, ${answersOwn} rows the caller's own, ${uploadsKept} uploads and ${deletesKept} deletes kept; ${done.parts} parts and ${done.partsRefused} refused, ${done.resumed} resumed, ${done.completed} completed, ${done.uploadsLost} lost by S3, ${done.givenUp} given up; ${done.delivered} events delivered, ${done.duplicates} of them again, ${done.acknowledgedLate} acknowledged late, ${done.replayed} replayed, ${done.expirations} of lost files that expired\n`,
    );
  }
  // The counts show that the test did something; an empty test would also pass.
  for (const [what, count] of Object.entries(counts)) expect(count, what).toBeGreaterThan(0);
});
