import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { LONG } from '../harness/long-form.ts';
import { newUser } from '../harness/random.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import type { Plan, Report } from './crash-child.ts';
import { type CrashFixture, openCrashFixture } from './crash-fixture.ts';
import { History } from './crash-history.ts';
import type { Act, Operation } from './crash-operation.ts';
import { create, gone, OPERATIONS as WITH_A_PUT } from './crash-operations.ts';
import { OPERATIONS_EVENTS } from './crash-operations-events.ts';
import { film, OPERATIONS_MULTIPART } from './crash-operations-multipart.ts';
import { OPERATIONS_RECONCILE } from './crash-operations-reconcile.ts';
import type { Answer, Ask } from './crash-ports.ts';

const WITHOUT_EVENTS = [...WITH_A_PUT, ...OPERATIONS_MULTIPART, ...OPERATIONS_RECONCILE];
const WITH_EVENTS = [...WITHOUT_EVENTS, ...OPERATIONS_EVENTS];

const CHILD = join(import.meta.dirname, 'crash-child.ts');

/**
 * Two workers: more would only wait for the processor. Each has a database and a bucket of its own, because a
 * sweep handles all users.
 */
const WORKERS = 2;

/**
 * The long form runs every operation in a process of its own, and tries each action in the gaps both with and
 * without a retry.
 */
const OPERATIONS_AT_ONCE = LONG ? 1 : 14;

/** A call that is cut off, and the action in its gap. */
interface Case {
  operation: Operation;
  history: History;
  ask: Ask;
  /** The key on which other actors act. */
  key: string | undefined;
  /**
   * The keys of uploads that were answered before the process was killed. The client continues these uploads.
   */
  handed: string[];
  act: Act | undefined;
  actAt: number | undefined;
  /** Whether the client repeats the call. Otherwise only the sweeper repairs the state. */
  retries: boolean;
}

interface Count {
  points: number;
  calls: number;
}

const cache = forAllTests(temporaryDirectory);

it(
  'table, bucket, events and acknowledgements agree after a kill between any two steps of any operation',
  () => killAll(WITH_EVENTS, true),
  600_000,
);

it.runIf(LONG)(
  'table, bucket and acknowledgements agree after a kill between any two steps while events are off',
  () => killAll(WITHOUT_EVENTS, false),
  600_000,
);

async function killAll(operations: Operation[], hasEvents: boolean): Promise<void> {
  const startMs = performance.now();
  await using fixtures = new AsyncDisposableStack();
  const queue = groups(operations).values();
  const counts = new Map<Operation, Count>(
    operations.map((operation) => [operation, { points: 0, calls: 0 }]),
  );
  let kills = 0;
  const wrong: string[] = [];
  const work = async () => {
    const fixture = fixtures.use(await openCrashFixture(hasEvents));
    for (const group of queue) {
      const killed = await killEverywhere(fixture, group, counts, wrong);
      kills += killed;
    }
  };
  // Both workers end before their databases and buckets are closed.
  for (const ended of await Promise.allSettled(Array.from({ length: WORKERS }, work))) {
    if (ended.status === 'rejected') throw ended.reason;
  }

  const total: Count = { points: 0, calls: 0 };
  for (const [{ name, steps }, count] of counts) {
    print(`${name.padEnd(35)} ${steps.join(' · ').padEnd(92)} ${countText(count)}`);
    total.points += count.points;
    total.calls += count.calls;
  }
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
  print(
    `crash points: events ${hasEvents ? 'on' : 'off'}, ${operations.length} operations, ${countText(total)}, ${kills} processes killed, ${wrong.length} wrong, ${seconds} s`,
  );
  expect(wrong).toEqual([]);
}

/**
 * Groups the operations whose calls run in one process. A sweep leases all due rows, and a dispatch leases all due
 * events. So neither shares a process with other calls.
 */
function groups(operations: Operation[]): Operation[][] {
  const shortFirst = operations.toSorted((a, b) => a.steps.length - b.steps.length);
  const kinds = [
    isSweep,
    isDispatch,
    (operation: Operation) => !isSweep(operation) && !isDispatch(operation),
  ];
  return kinds
    .map((which) => shortFirst.filter(which))
    .flatMap((alike) =>
      Array.from({ length: Math.ceil(alike.length / OPERATIONS_AT_ONCE) }, (_, i) =>
        alike.slice(i * OPERATIONS_AT_ONCE, (i + 1) * OPERATIONS_AT_ONCE),
      ),
    );
}

const isSweep = ({ name }: Operation) => name.startsWith('sweep');
const isDispatch = ({ name }: Operation) => name.startsWith('dispatch');

/**
 * Kills a process in each gap, until every operation ends before the gap, whatever happens in between.
 *
 * @returns how many processes were killed
 */
async function killEverywhere(
  fixture: CrashFixture,
  group: Operation[],
  counts: Map<Operation, Count>,
  wrong: string[],
): Promise<number> {
  let left = group;
  for (let killAt = 0; ; killAt++) {
    const cases = await Promise.all(
      left.flatMap((operation) => variants(operation, killAt)).map((variant) => prepare(fixture, variant)),
    );
    const { steps, parked } = await runAndDie(fixture, cases, killAt);
    const found = await restartAndCompare(fixture, cases, killAt % 2 === 1);
    wrong.push(...found.map((what) => `killed in gap ${killAt}: ${what}`));
    await clear(fixture);

    left = left.filter((operation) => {
      const own = [...cases.keys()].filter((call) => cases[call]?.operation === operation);
      const cut = own.filter((call) => parked[call]).length;
      const count = counts.get(operation);
      if (cut > 0 && count !== undefined) {
        count.points++;
        count.calls += cut;
        return true;
      }
      // The first case is the undisturbed one.
      const [undisturbed = 0] = own;
      expect(steps[undisturbed]?.toSorted(), operation.name).toEqual(operation.steps.toSorted());
      return false;
    });
    if (left.length === 0 || found.length > 0) return killAt + 1;
  }
}

type Variant = Pick<Case, 'operation' | 'act' | 'actAt' | 'retries'>;

/** Only every nth variant is tried. A multipart upload has more gaps and more possible actions. */
const EVERY_WITH_A_PUT = LONG ? 1 : 7;
const EVERY_MULTIPART = LONG ? 5 : 19;

function variants(operation: Operation, killAt: number): Variant[] {
  const every = OPERATIONS_MULTIPART.includes(operation) ? EVERY_MULTIPART : EVERY_WITH_A_PUT;
  const acts: Pick<Case, 'act' | 'actAt'>[] = [];
  for (let actAt = 0; actAt <= killAt; actAt++) {
    for (const act of operation.acts) {
      // Another sweeper would lease the rows before this sweeper does.
      if (isSweep(operation) && act === 'sweep' && actAt === 0) continue;
      acts.push({ act, actAt });
    }
  }
  const both = (act: Pick<Case, 'act' | 'actAt'>): Variant[] =>
    [false, true].map((retries) => ({ operation, ...act, retries }));
  const disturbed = acts.flatMap(both).filter((_, i) => (i + (i >> 1) + killAt) % every === 0);
  return [...both({ act: undefined, actAt: undefined }), ...disturbed];
}

async function prepare(fixture: CrashFixture, variant: Variant): Promise<Case> {
  const history = new History(fixture, newUser());
  const { given, request } = variant.operation;
  const key = await given?.(history);
  const ask = typeof request === 'function' ? request(key ?? '') : request;
  return { ...variant, history, key, ask, handed: [] };
}

async function runAndDie(
  { servers }: CrashFixture,
  cases: Case[],
  killAt: number,
): Promise<Extract<Report, { event: 'dying' }>> {
  const child = fork(CHILD, {
    execArgv: [],
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: cache.path },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  let last: Report | undefined;
  // Acts one after the other, in the order of the child's messages.
  let acts: Promise<void> = Promise.resolve();
  const queue = (act: () => Promise<void>) => {
    acts = acts.then(act);
    // After an error the child would wait for ever.
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
      cut.handed.push(...handedBy(answer));
      const beside = cut.act !== undefined && cut.actAt !== 0 ? 'beside others' : 'alone';
      queue(() => cut.history.hear(cut.ask, answer, beside));
    }
  });
  const calls = cases.map(({ history, ask, actAt }) => ({ user: history.user, ask, actAt }));
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

/** A delete or a complete counts as acknowledged after its step, even if the process was killed before it answered. */
function acknowledge({ ask, history }: Case, steps: string[]): void {
  if (ask.method === 'delete' && steps.includes('mark_deleted')) history.deleted(ask.s3Key);
  if (ask.method === 'complete' && steps.includes('complete')) history.made(ask.s3Key);
}

/** The keys of the uploads that an answer begins. */
function handedBy(answer: Answer): string[] {
  if (answer.heard === 'many') return answer.answers.flatMap(handedBy);
  return answer.heard === 'NEW' || answer.heard === 'UPLOAD' ? [answer.s3Key] : [];
}

async function act(cut: Case): Promise<void> {
  const { act, history, key } = cut;
  if (act === 'sweep') return history.sweep();
  if (act === 'deliver') return history.deliver();
  if (act === 'create' || act === 'begin') {
    const answer = await history.ask(act === 'create' ? create : { method: 'begin', content: film });
    cut.handed.push(...handedBy(answer));
    return;
  }
  if (act === 'finish') return history.uploadMultipart(film);
  if (key === undefined) throw new Error('the case has no key to act on');
  if (act === 'put') await history.put(key);
  if (act === 'part') await history.putParts(key, [2]);
  if (act === 'complete') await history.ask({ method: 'complete', s3Key: key });
  if (act === 'make') await history.makeInBucket(key, film);
  if (act === 'delete') await history.deleteAndDie(key);
}

async function restartAndCompare(
  fixture: CrashFixture,
  cases: Case[],
  isConsumerAway: boolean,
): Promise<string[]> {
  for (const { history, ask, handed, retries } of cases) {
    for (const key of handed) await history.goOn(key);
    // The operator repeats the command until table and bucket agree.
    if (ask.method === 'reconcile') await history.ask(ask);
    if (!retries) continue;
    const isBackground = ['sweep', 'dispatch', 'reconcile'].includes(ask.method);
    const answer = await history.ask(isBackground ? { method: 'list' } : ask);
    for (const key of handedBy(answer)) await history.goOn(key);
    await history.ask({ method: 'list' });
  }
  await fixture.settle(isConsumerAway);
  // The sweeper never handles a READY file: an object that was removed without the service is noticed by the
  // next read.
  for (const { history, key, operation } of cases) {
    if (operation.given === gone && key !== undefined) await history.ask({ method: 'get', s3Key: key });
  }
  await fixture.settle();
  const differences = await fixture.differences(cases.flatMap(({ history }) => history.uploaded()));
  const judged = cases.flatMap(({ history, ask }) => [
    ...history.wrong,
    ...history.wrongEvents(ask.method === 'create'),
  ]);
  const about = new Map(cases.map((one) => [one.history.user, one]));
  return [...judged, ...differences].map((what) => {
    const [user = ''] = /user-[0-9a-f]+/.exec(what) ?? [];
    const { operation, act, actAt, retries } = about.get(user) ?? {};
    return `${operation?.name}: ${what} (${act === undefined ? 'undisturbed' : `${act} in gap ${actAt}`}, ${retries ? 'repeated' : 'not repeated'})`;
  });
}

async function clear({ ports, bucket, consumer }: CrashFixture): Promise<void> {
  consumer.clear();
  await ports.pool.query('delete from files');
  await Promise.all((await bucket.keys()).map((key) => bucket.remove(key)));
}

function countText({ points, calls }: Count): string {
  return `${points} points, ${calls} calls cut off`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
