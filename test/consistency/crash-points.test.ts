import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LONG } from '../harness/long-form.ts';
import { newUser } from '../harness/random.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../harness/temporary-directory.ts';
import type { Plan, Report } from './crash-child.ts';
import { Fixture } from './crash-fixture.ts';
import { type Act, create, type Operation, OPERATIONS as WITH_A_PUT } from './crash-operations.ts';
import { film, OPERATIONS_IN_PARTS } from './crash-operations-multipart.ts';
import type { Ask } from './crash-ports.ts';
import { openWorld, type World } from './crash-servers.ts';

const OPERATIONS = [...WITH_A_PUT, ...OPERATIONS_IN_PARTS].sort((a, b) => a.steps.length - b.steps.length);

const CHILD = join(import.meta.dirname, 'crash-child.ts');

/** Two at a time: more would only wait for the processor. Each has a world of its own, as a sweep is across users. */
const LANES = 2;

/** The long form gives every operation a process of its own to die in, and what happens in the gaps both with and without a retry. */
const OPERATIONS_AT_ONCE = LONG ? 1 : 14;

/** A call that is cut off, and what else happens. */
interface Case {
  operation: Operation;
  fixture: Fixture;
  ask: Ask;
  /** What others act on. */
  key: string | undefined;
  /** The key of a NEW that it was answered before the process died: the client goes on to upload. */
  handed: string | undefined;
  act: Act | undefined;
  actAt: number | undefined;
  /** Whether the client asks again; without it, the sweeper alone has to mend. */
  retries: boolean;
}

interface Count {
  points: number;
  calls: number;
}

let worlds: World[];
let cache: TemporaryDirectory;
beforeAll(async () => {
  cache = await temporaryDirectory();
  worlds = await Promise.all(Array.from({ length: LANES }, openWorld));
});
afterAll(async () => {
  await Promise.all(worlds.map((world) => world.close()));
  await cache[Symbol.asyncDispose]();
});

it('killed between any two steps of any operation, table, bucket and all that was acknowledged agree', async () => {
  const startMs = performance.now();
  const queue = groups().values();
  const counts = new Map<Operation, Count>(
    OPERATIONS.map((operation) => [operation, { points: 0, calls: 0 }]),
  );
  let kills = 0;
  const wrong: string[] = [];
  const lane = async (world: World) => {
    for (const group of queue) {
      const killed = await killEverywhere(world, group, counts, wrong);
      kills += killed;
    }
  };
  // Both come to their end before their worlds do.
  for (const ended of await Promise.allSettled(worlds.map(lane))) {
    if (ended.status === 'rejected') throw ended.reason;
  }

  const total: Count = { points: 0, calls: 0 };
  for (const [{ name, steps }, count] of counts) {
    print(`${name.padEnd(35)} ${steps.join(' · ').padEnd(92)} ${told(count)}`);
    total.points += count.points;
    total.calls += count.calls;
  }
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
  print(
    `crash points: ${OPERATIONS.length} operations, ${told(total)}, ${kills} processes killed, ${wrong.length} wrong, ${seconds} s`,
  );
  expect(wrong).toEqual([]);
}, 600_000);

/** The operations whose calls die in one process. A sweep claims what is due, whoever made it so: sweeps keep to themselves. */
function groups(): Operation[][] {
  const [sweeps, calls] = [isSweep, (operation: Operation) => !isSweep(operation)].map((which) =>
    OPERATIONS.filter(which),
  );
  return [calls ?? [], sweeps ?? []].flatMap((alike) =>
    Array.from({ length: Math.ceil(alike.length / OPERATIONS_AT_ONCE) }, (_, i) =>
      alike.slice(i * OPERATIONS_AT_ONCE, (i + 1) * OPERATIONS_AT_ONCE),
    ),
  );
}

const isSweep = ({ name }: Operation) => name.startsWith('sweep');

/** Gap by gap, until every operation runs through whatever else happens. The number of processes killed. */
async function killEverywhere(
  world: World,
  group: Operation[],
  counts: Map<Operation, Count>,
  wrong: string[],
): Promise<number> {
  let left = group;
  for (let killAt = 0; ; killAt++) {
    const cases = await Promise.all(
      left.flatMap((operation) => variants(operation, killAt)).map((variant) => prepare(world, variant)),
    );
    const { steps, parked } = await runAndDie(world, cases, killAt);
    const found = await restartAndCompare(world, cases);
    wrong.push(...found.map((what) => `killed in gap ${killAt}: ${what}`));
    await clear(world);

    left = left.filter((operation) => {
      const own = [...cases.keys()].filter((call) => cases[call]?.operation === operation);
      const cut = own.filter((call) => parked[call]).length;
      const count = counts.get(operation);
      if (cut > 0 && count !== undefined) {
        count.points++;
        count.calls += cut;
        return true;
      }
      // The first one is the undisturbed one.
      const [undisturbed = 0] = own;
      expect(steps[undisturbed]?.toSorted(), operation.name).toEqual(operation.steps.toSorted());
      return false;
    });
    if (left.length === 0 || found.length > 0) return killAt + 1;
  }
}

type Variant = Pick<Case, 'operation' | 'act' | 'actAt' | 'retries'>;

/** Of what may happen in the gaps, every so manieth is tried: an upload in parts has more gaps, and more may happen in them. */
const EVERY_WITH_A_PUT = LONG ? 1 : 7;
const EVERY_IN_PARTS = LONG ? 5 : 19;

function variants(operation: Operation, killAt: number): Variant[] {
  const every = OPERATIONS_IN_PARTS.includes(operation) ? EVERY_IN_PARTS : EVERY_WITH_A_PUT;
  const acts: Pick<Case, 'act' | 'actAt'>[] = [];
  for (let actAt = 0; actAt <= killAt; actAt++) {
    for (const act of operation.acts) {
      // Another sweeper would take the rows away before this one has claimed them.
      if (isSweep(operation) && act === 'sweep' && actAt === 0) continue;
      acts.push({ act, actAt });
    }
  }
  const both = (act: Pick<Case, 'act' | 'actAt'>): Variant[] =>
    [false, true].map((retries) => ({ operation, ...act, retries }));
  const disturbed = acts.flatMap(both).filter((_, i) => (i + (i >> 1) + killAt) % every === 0);
  return [...both({ act: undefined, actAt: undefined }), ...disturbed];
}

async function prepare(world: World, variant: Variant): Promise<Case> {
  const fixture = new Fixture(world, newUser());
  return {
    ...variant,
    fixture,
    key: undefined,
    handed: undefined,
    ...(await variant.operation.prepare(fixture)),
  };
}

async function runAndDie(
  { servers }: World,
  cases: Case[],
  killAt: number,
): Promise<Extract<Report, { event: 'dying' }>> {
  const child = fork(CHILD, {
    execArgv: [],
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: cache.path },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  let last: Report | undefined;
  // One after the other, in the order of the child's words.
  let acts: Promise<void> = Promise.resolve();
  const queue = (act: () => Promise<void>) => {
    acts = acts.then(act);
    // Nobody would tell the child to go on.
    acts.catch(() => child.kill('SIGKILL'));
  };
  child.on('message', (report: Report) => {
    last = report;
    if (report.event === 'dying') return;
    const { call } = report;
    const cut = cases[call];
    if (cut === undefined) return;
    if (report.event === 'act') {
      queue(async () => {
        acknowledge(cut, report.steps);
        await act(cut);
        child.send({ proceed: call }, () => undefined);
      });
    } else {
      const { answer } = report;
      if (answer.heard === 'NEW' || answer.heard === 'UPLOAD') cut.handed = answer.s3Key;
      const beside = cut.act !== undefined && cut.actAt !== 0 ? 'beside others' : 'alone';
      queue(() => cut.fixture.hear(cut.ask, answer, beside));
    }
  });
  const calls = cases.map(({ fixture, ask, actAt }) => ({ user: fixture.user, ask, actAt }));
  const plan: Plan = { servers, killAt, calls };
  child.send(plan);
  const [, signal] = await once(child, 'close');
  await acts;
  if (signal !== 'SIGKILL' || last?.event !== 'dying') throw new Error('the child ended by itself');
  last.steps.forEach((steps, call) => {
    if (cases[call] !== undefined) acknowledge(cases[call], steps);
  });
  return last;
}

/** A commit is the acknowledgement, also where nobody lived to hear it. */
function acknowledge({ ask, fixture }: Case, steps: string[]): void {
  if (ask.method === 'delete' && steps.includes('mark_deleted')) fixture.deleted(ask.s3Key);
  if (ask.method === 'complete' && steps.includes('complete')) fixture.made(ask.s3Key);
}

async function act(cut: Case): Promise<void> {
  const { act, fixture, key } = cut;
  if (act === 'sweep') return fixture.sweep();
  if (act === 'create' || act === 'begin') {
    const answer = await fixture.ask(act === 'create' ? create : { method: 'begin', content: film });
    if (answer.heard === 'NEW' || answer.heard === 'UPLOAD') cut.handed = answer.s3Key;
    return;
  }
  if (act === 'finish') return fixture.uploadMultipart(film);
  if (key === undefined) throw new Error('nothing to act on');
  if (act === 'put') await fixture.put(key);
  if (act === 'part') await fixture.putParts(key, [2]);
  if (act === 'complete') await fixture.ask({ method: 'complete', s3Key: key });
  if (act === 'make') await fixture.makeInBucket(key, film);
  if (act === 'delete') await fixture.deleteAndDie(key);
}

async function restartAndCompare(world: World, cases: Case[]): Promise<string[]> {
  for (const { fixture, ask, handed, retries } of cases) {
    if (handed !== undefined) await fixture.goOn(handed);
    if (!retries) continue;
    const answer = await fixture.ask(ask.method === 'sweep' ? { method: 'list' } : ask);
    if (answer.heard === 'NEW' || answer.heard === 'UPLOAD') await fixture.goOn(answer.s3Key);
    await fixture.ask({ method: 'list' });
  }
  await world.settle();
  // A READY file is the sweeper's never: what was taken from the bucket behind the service's back waits for a reader.
  for (const { fixture, key, operation } of cases) {
    if (operation.objectIsGone && key !== undefined) await fixture.ask({ method: 'get', s3Key: key });
  }
  await world.settle();
  const differences = await world.differences(cases.flatMap(({ fixture }) => fixture.uploaded()));
  const judged = cases.flatMap(({ fixture }) => fixture.wrong);
  const about = new Map(cases.map((one) => [one.fixture.user, one]));
  return [...judged, ...differences].map((what) => {
    const [user = ''] = /user-[0-9a-f]+/.exec(what) ?? [];
    const { operation, act, actAt, retries } = about.get(user) ?? {};
    return `${operation?.name}: ${what} (${act === undefined ? 'undisturbed' : `${act} in gap ${actAt}`}, ${retries ? 'asked again' : 'not asked again'})`;
  });
}

async function clear({ ports, bucket }: World): Promise<void> {
  await ports.pool.query('delete from files');
  await Promise.all((await bucket.keys()).map((key) => bucket.remove(key)));
}

function told({ points, calls }: Count): string {
  return `${points} points, ${calls} calls cut off`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
