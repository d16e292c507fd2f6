/**
 * The process that dies. Its calls, each of a user of its own, run on real ports and stop at the same gap between two
 * of their steps; when all have come there, it kills itself.
 *
 * Gap 0 is before the first step, gap k after the k-th: Postgres has committed or S3 has answered, and the operation has not
 * seen it yet.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { DueFile } from '../../src/files/ports.ts';
import { ample } from '../harness/deadline.ts';
import { type Answer, type Ask, openPorts, type Ports, type Servers } from './crash-ports.ts';

export interface Plan {
  servers: Servers;
  /** The gap in which the process dies. */
  killAt: number;
  calls: { user: string; ask: Ask; actAt: number | undefined }[];
}

/** From the child. */
export type Report =
  /** Somebody else is to act now; the call waits for the word. */
  | { call: number; event: 'act'; steps: string[] }
  | { call: number; event: 'answered'; answer: Answer }
  | { event: 'dying'; steps: string[][]; parked: boolean[] };

interface Call {
  user: string;
  ask: Ask;
  actAt: number | undefined;
  acting: Promise<void> | undefined;
  proceed: () => void;
  steps: string[];
  state: 'running' | 'parked' | 'answered';
}

/** What must not happen while all calls stand still has this long to happen all the same. */
const STANDSTILL_MS = 5;

process.once('message', (plan: Plan) => void run(plan));
process.on('disconnect', () => process.exit(1));

async function run({ servers, killAt, calls: planned }: Plan): Promise<void> {
  const calls = planned.map(
    (call): Call => ({ ...call, acting: undefined, proceed: () => undefined, steps: [], state: 'running' }),
  );
  process.on('message', ({ proceed }: { proceed: number }) => calls[proceed]?.proceed());

  const ports = openPorts(servers, {
    database: (database) => ({
      run: (statement, params, deadline) =>
        step(of(params), statement.name, () => database.run(statement, params, deadline)),
    }),
    objects: (objects) => ({
      head: (s3Key, deadline) => step(owner(s3Key), 'HEAD', () => objects.head(s3Key, deadline)),
      remove: (s3Key, deadline) => step(owner(s3Key), 'DELETE', () => objects.remove(s3Key, deadline)),
    }),
    multipart: (multipart) => ({
      begin: (s3Key, ...rest) => step(owner(s3Key), 'begin', () => multipart.begin(s3Key, ...rest)),
      uploadsOf: (s3Key, ...rest) => step(owner(s3Key), 'uploads', () => multipart.uploadsOf(s3Key, ...rest)),
      parts: (s3Key, ...rest) => step(owner(s3Key), 'parts', () => multipart.parts(s3Key, ...rest)),
      complete: (s3Key, ...rest) => step(owner(s3Key), 'complete', () => multipart.complete(s3Key, ...rest)),
      abort: (s3Key, ...rest) => step(owner(s3Key), 'abort', () => multipart.abort(s3Key, ...rest)),
    }),
  });

  async function step<Result>(concerned: Call[], name: string, take: () => Promise<Result>): Promise<Result> {
    await Promise.all(concerned.map(gap));
    const result = await take();
    for (const call of concerned) call.steps.push(name);
    await Promise.all(concerned.map(gap));
    return result;
  }

  async function gap(call: Call): Promise<void> {
    if (call.actAt !== undefined && call.steps.length >= call.actAt) {
      call.acting ??= new Promise((resolve) => {
        call.proceed = resolve;
        tell({ call: calls.indexOf(call), event: 'act', steps: call.steps });
      });
      await call.acting;
    }
    if (call.steps.length < killAt) return;
    call.state = 'parked';
    dieWhenAllStandStill();
    await new Promise<never>(() => undefined);
  }

  /** The claim of a sweep is everybody's step; any other is its user's. */
  function of(params: unknown): Call[] {
    const { userId } = params as { userId?: string };
    return userId === undefined ? calls : calls.filter(({ user }) => user === userId);
  }
  function owner(s3Key: string): Call[] {
    return calls.filter(({ user }) => s3Key.startsWith(`${user}_`));
  }

  function answered(call: Call, answer: Answer): void {
    tell({ call: calls.indexOf(call), event: 'answered', answer });
    // What was answered while it stood still is for the parent to judge.
    if (call.state === 'running') call.state = 'answered';
    dieWhenAllStandStill();
  }

  let dying = false;
  function dieWhenAllStandStill(): void {
    if (dying || calls.some(({ state }) => state === 'running')) return;
    dying = true;
    void sleep(STANDSTILL_MS).then(() => {
      const last: Report = {
        event: 'dying',
        steps: calls.map(({ steps }) => steps),
        parked: calls.map(({ state }) => state === 'parked'),
      };
      process.send?.(last, () => process.kill(process.pid, 'SIGKILL'));
    });
  }

  if (calls[0]?.ask.method === 'sweep') await sweepRound(ports, calls, answered);
  else
    for (const call of calls)
      void ports.perform(call.user, call.ask).then((answer) => answered(call, answer));
}

/** A round of the sweeper, with every row at once, so that each can come to its gap. */
async function sweepRound(
  ports: Ports,
  calls: Call[],
  answered: (call: Call, answer: Answer) => void,
): Promise<void> {
  const batch = await ports.store.leaseDue(calls.length, 60, ample());
  const sweep = async (call: Call) => {
    const due = batch.find((row) => userOf(row) === call.user);
    // Not claimed: what others did has put it off.
    if (due !== undefined) await ports.sweepOne(due, Date.now() + 5_000);
    answered(call, { heard: 'OK' });
  };
  await Promise.all(calls.map(sweep));
}

function userOf(due: DueFile): string {
  return due.state === 'deleted' ? due.ref.userId : due.file.userId;
}

function tell(report: Report): void {
  process.send?.(report);
}
