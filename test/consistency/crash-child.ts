/**
 * The process that is killed. Its calls, each of a different user, run on real ports and stop at the same gap
 * between two of their steps. When all calls have reached the gap, the process kills itself.
 *
 * Gap 0 is before the first step. Gap k is after step k: Postgres has committed or S3 has answered, and the
 * operation has not received the result yet.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { DeliverFileEventRequest } from '../../gen/files/v1/file_events_service_pb.ts';
import type { Transport } from '../../src/events/transports/transport.ts';
import type { Work } from '../../src/files/call.ts';
import { refOf } from '../../src/files/maintenance/sweep.ts';
import { ampleWork } from '../harness/deadline.ts';
import { type Answer, type Ask, openPorts, type Ports, type Servers } from './crash-ports.ts';

export interface Plan {
  servers: Servers;
  /** The gap in which the process kills itself. */
  killAt: number;
  calls: { user: string; ask: Ask; actAt: number | undefined }[];
}

/** A message of the child process to the test. */
export type Report =
  /** The test must act now; the call waits until the test says that it has acted. */
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

/**
 * When all calls wait in the gap, the process waits this long before it kills itself. No step may run in this time.
 * Because of the pause, the test sees a step that runs all the same.
 */
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
      run: (work, statement, params) =>
        step(of(work, params), stepOf(statement.name), () => database.run(work, statement, params)),
    }),
    objects: (objects) => ({
      head: (call, s3Key) => step(of(call), 'HEAD', () => objects.head(call, s3Key)),
      remove: (call, s3Key) => step(of(call), 'DELETE', () => objects.remove(call, s3Key)),
    }),
    multipart: (multipart) => ({
      begin: (call, ...rest) => step(of(call), 'begin', () => multipart.begin(call, ...rest)),
      uploadsOf: (call, ...rest) => step(of(call), 'uploads', () => multipart.uploadsOf(call, ...rest)),
      parts: (call, ...rest) => step(of(call), 'parts', () => multipart.parts(call, ...rest)),
      complete: (call, ...rest) => step(of(call), 'complete', () => multipart.complete(call, ...rest)),
      abort: (call, ...rest) => step(of(call), 'abort', () => multipart.abort(call, ...rest)),
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

  /** A lease is a step of all calls. Each other step belongs to the call of its user. */
  function of({ userId }: Pick<Work, 'userId'>, params?: unknown): Call[] {
    const users = userId === undefined ? usersOf(params) : [userId];
    return users === undefined ? calls : calls.filter(({ user }) => users.includes(user));
  }

  function answered(call: Call, answer: Answer): void {
    tell({ call: calls.indexOf(call), event: 'answered', answer });
    // A call that was answered while it should wait is an error, which the parent reports.
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

  const delivering = (transport: Transport): Transport => ({
    ...transport,
    deliver: (message: DeliverFileEventRequest) =>
      step(of(message), 'deliver', () => transport.deliver(message)),
  });

  const method = calls[0]?.ask.method;
  if (method === 'sweep') await sweepRound(ports, calls, answered);
  else if (method === 'dispatch') await dispatchRound(ports, servers.eventsUrl, calls, answered, delivering);
  else
    for (const call of calls)
      void ports.perform(call.user, call.ask).then((answer) => answered(call, answer));
}

/** Runs one round of the sweeper with all rows at the same time, so that each row can reach its gap. */
async function sweepRound(
  ports: Ports,
  calls: Call[],
  answered: (call: Call, answer: Answer) => void,
): Promise<void> {
  const batch = await ports.store.leaseDue(ampleWork(), calls.length, 60);
  const sweep = async (call: Call) => {
    const due = batch.find((row) => refOf(row).userId === call.user);
    // The row was not leased, because another actor has rescheduled it.
    if (due !== undefined) await ports.sweepOne({ userId: call.user, deadline: Date.now() + 5_000 }, due);
    answered(call, { heard: 'OK' });
  };
  await Promise.all(calls.map(sweep));
}

/** Runs one round of the dispatcher with all events at the same time, so that each event can reach its gap. */
async function dispatchRound(
  { events }: Ports,
  eventsUrl: string | undefined,
  calls: Call[],
  answered: (call: Call, answer: Answer) => void,
  wrap: (transport: Transport) => Transport,
): Promise<void> {
  // Loaded here, because no other child needs its packages, and a child must start quickly.
  const { openDispatch } = await import('./crash-dispatch.ts');
  const dispatch = openDispatch(events, eventsUrl ?? '', wrap);
  const leased = await dispatch.lease(calls.length);
  const deliver = async (call: Call) => {
    const event = leased.find(({ userId }) => userId === call.user);
    // The event was not leased, because another dispatcher has delivered it.
    if (event !== undefined) await dispatch.deliver(event);
    answered(call, { heard: 'OK' });
  };
  await Promise.all(calls.map(deliver));
}

/** The statements of the forms with and without events are the same step. */
const stepOf = (statementName: string) => statementName.replace(/_announced$/, '');

/** A statement that ends deliveries has the users of its events as a parameter. */
function usersOf(params: unknown): readonly string[] | undefined {
  return (params as { userIds?: readonly string[] } | undefined)?.userIds;
}

function tell(report: Report): void {
  process.send?.(report);
}
