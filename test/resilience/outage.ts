import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import { expect, onTestFinished } from 'vitest';
import { ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { LONG } from '../harness/long-form.ts';
import type { ServiceProcess } from '../harness/service-process.ts';

/**
 * The deadline of every call. It is shorter than the outages, so that calls that wait for the end of an
 * outage fail.
 */
export const DEADLINE_MS = 3_000;

/** The limit for an answer: the deadline, and time for the network and a busy machine. */
const ANSWER_WITHIN_MS = DEADLINE_MS + (LONG ? 150 : 1_000);

/** The time from the end of an outage until all calls succeed. */
const RECOVERY_MAX_MS = 5_000;

/** How many calls of each kind must succeed in a row, so that the service counts as recovered. */
const CALLS_IN_A_ROW = 10;

const WORKERS = 4;

/**
 * The pause of a worker after each call, so that a service that refuses at once does not get ten thousand
 * calls.
 */
const PAUSE_MS = 10;

export interface Answer {
  call: string;
  /** The name of the code in Connect's spelling; `Ok` for success. */
  code: string;
  reason: string | undefined;
  retries: boolean;
  ms: number;
  /** The time of the answer, by `performance.now()`. */
  at: number;
}

type Calls = Record<string, () => Promise<unknown>>;

/** Repeats the calls with a few workers until `stop` is called. */
export function startLoad(calls: Calls): { answers: Answer[]; stop(): Promise<void> } {
  const answers: Answer[] = [];
  let stopped = false;
  const work = async (start: number) => {
    const all = Object.entries(calls);
    for (let i = start; !stopped; i++) {
      const [call, make] = all[i % all.length] ?? ['', async () => undefined];
      const startMs = performance.now();
      const error = await make().then(
        () => undefined,
        (failure: unknown) => ConnectError.from(failure),
      );
      answers.push({
        call,
        code: error === undefined ? 'Ok' : Code[error.code],
        reason: error?.findDetails(ErrorInfoSchema)[0]?.reason,
        retries: error !== undefined && error.findDetails(RetryInfoSchema).length > 0,
        ms: performance.now() - startMs,
        at: performance.now(),
      });
      await sleep(PAUSE_MS);
    }
  };
  const workers = Promise.all(Array.from({ length: WORKERS }, (_, i) => work(i)));
  const stop = async () => {
    stopped = true;
    await workers;
  };
  onTestFinished(stop);
  return { answers, stop };
}

export interface Outage {
  begin(): Promise<unknown>;
  end(): Promise<unknown>;
  shortMs: number;
  longMs: number;
}

/**
 * Runs an outage under load, and checks the guarantees that hold for every outage: failed calls are
 * UNAVAILABLE with RetryInfo, every answer arrives within the deadline, the process stays alive, and every
 * call succeeds again five seconds after the end of the outage.
 */
export async function endure(service: ServiceProcess, calls: Calls, outage: Outage) {
  const load = startLoad(calls);
  await until(() => load.answers.length >= 10 && load.answers.slice(-10).every(isOk), RECOVERY_MAX_MS);
  const ready: number[] = [];
  const watch = setInterval(() => {
    void fetch(`${service.http}/readyz`).then(({ status }) => ready.push(status));
  }, 200);
  onTestFinished(() => clearInterval(watch));

  const beganAt = performance.now();
  await outage.begin();
  try {
    await sleep(LONG ? outage.longMs : outage.shortMs);
    expect((await fetch(`${service.http}/livez`)).status).toBe(200);
  } finally {
    await outage.end();
  }
  const endedAt = performance.now();
  const succeeds = (call: string) => {
    const last = load.answers.filter((one) => one.call === call && one.at > endedAt).slice(-CALLS_IN_A_ROW);
    return last.length === CALLS_IN_A_ROW && last.every(isOk);
  };
  await until(() => Object.keys(calls).every(succeeds) && quietSince(load.answers) > 1_000, 20_000);
  const recoveredMs = Math.max(0, (load.answers.findLast((one) => !isOk(one))?.at ?? 0) - endedAt);
  clearInterval(watch);
  await load.stop();

  const during = load.answers.filter(({ at }) => at >= beganAt && at <= endedAt + recoveredMs);
  const failed = load.answers.filter((one) => !isOk(one));
  for (const one of failed) expect(one).toMatchObject({ code: 'Unavailable', retries: true });
  const slowestMs = Math.max(0, ...during.map(({ ms }) => ms));
  expect(slowestMs).toBeLessThan(ANSWER_WITHIN_MS);
  expect(recoveredMs).toBeLessThan(RECOVERY_MAX_MS);
  expect((await fetch(`${service.http}/livez`)).status).toBe(200);
  return {
    answers: during,
    /**
     * The answers of calls that began at least a deadline after the outage. They need not wait for a
     * time-out.
     */
    warned: during.filter(({ at, ms }) => at - ms > beganAt + DEADLINE_MS && at < endedAt),
    failed,
    /** The time from the end of the outage until the last failed answer. */
    recoveredMs,
    /** The HTTP statuses of /readyz since shortly before the outage. */
    ready,
    figure: `${during.length} answers, ${failed.length} UNAVAILABLE, slowest ${(slowestMs / 1_000).toFixed(2)} s of ${DEADLINE_MS / 1_000} s; full service ${(recoveredMs / 1_000).toFixed(1)} s after the return`,
  };
}

const isOk = ({ code }: Answer) => code === 'Ok';

/** The time since the last failed call, in ms. */
function quietSince(answers: Answer[]): number {
  return performance.now() - (answers.findLast((one) => !isOk(one))?.at ?? 0);
}

export async function until(holds: () => boolean | Promise<boolean>, timeoutMs: number): Promise<void> {
  for (const end = performance.now() + timeoutMs; !(await holds()); await sleep(20)) {
    if (performance.now() > end)
      throw new Error(`the condition did not hold within ${timeoutMs} ms: ${holds}`);
  }
}
