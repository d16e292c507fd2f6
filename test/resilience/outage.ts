import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import { expect, onTestFinished } from 'vitest';
import { ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { LONG } from '../harness/long-form.ts';
import type { ServiceProcess } from '../harness/service-process.ts';

/** Every call's. As short as outages are long: an answer that waits it out would show. */
export const DEADLINE_MS = 3_000;

/** What the clients of these tests have left for the way and for a busy machine. */
const ANSWER_WITHIN_MS = DEADLINE_MS + 150;

/** After the return of what was missing. */
const RECOVERY_MAX_MS = 5_000;

const LANES = 4;

/** So that a service which refuses at once is not asked ten thousand times. */
const PAUSE_MS = 10;

export interface Answer {
  call: string;
  /** As gRPC names it; `Ok`. */
  code: string;
  reason: string | undefined;
  retries: boolean;
  ms: number;
  /** When it came. */
  at: number;
}

type Calls = Record<string, () => Promise<unknown>>;

/** Makes all of these calls, over and over, a few at a time, until it is told to stop. */
export function startLoad(calls: Calls): { answers: Answer[]; stop(): Promise<void> } {
  const answers: Answer[] = [];
  let stopped = false;
  const lane = async (start: number) => {
    const all = Object.entries(calls);
    for (let i = start; !stopped; i++) {
      const [call, make] = all[i % all.length] ?? ['', async () => undefined];
      const startMs = performance.now();
      const error = await make().then(
        () => undefined,
        (fault: unknown) => ConnectError.from(fault),
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
  const lanes = Promise.all(Array.from({ length: LANES }, (_, i) => lane(i)));
  const stop = async () => {
    stopped = true;
    await lanes;
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
 * Puts the service through an outage under load, and holds it to what is true of
 * all of them: what is not answered with success is UNAVAILABLE with RetryInfo,
 * every answer is inside its deadline, the process lives, and five seconds after
 * the return every call succeeds again.
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
  await until(() => load.answers.some(({ at }) => at > endedAt) && quietSince(load.answers) > 1_000, 20_000);
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
    /** Those of calls that began when the outage had lasted for a whole deadline: nobody need wait for it any more. */
    warned: during.filter(({ at, ms }) => at - ms > beganAt + DEADLINE_MS && at < endedAt),
    failed,
    /** The statuses of /readyz, from the outage on. */
    ready,
    figure: `${during.length} answers, ${failed.length} UNAVAILABLE, slowest ${(slowestMs / 1_000).toFixed(2)} s of ${DEADLINE_MS / 1_000} s; full service ${(recoveredMs / 1_000).toFixed(1)} s after the return`,
  };
}

const isOk = ({ code }: Answer) => code === 'Ok';

/** How long everything has succeeded, in ms. */
function quietSince(answers: Answer[]): number {
  return performance.now() - (answers.findLast((one) => !isOk(one))?.at ?? 0);
}

export async function until(holds: () => boolean | Promise<boolean>, timeoutMs: number): Promise<void> {
  for (const end = performance.now() + timeoutMs; !(await holds()); await sleep(20)) {
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${holds}`);
  }
}
