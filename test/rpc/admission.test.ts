import { createContextValues, type HandlerContext } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { createAdmission } from '../../src/rpc/admission.ts';
import { implement } from '../../src/rpc/calls.ts';
import { failureOf } from '../harness/failure.ts';
import { newUser } from '../harness/made-up.ts';
import { startTestService, type TestService, WIRES } from '../harness/service.ts';

const PLACES = 256;

/** Takes places for a user until one is refused. */
function fill({ admit }: ReturnType<typeof createAdmission>, user: string): (() => void)[] {
  const taken: (() => void)[] = [];
  try {
    for (;;) taken.push(admit(user));
  } catch (error) {
    expect(error).toMatchObject({ name: 'FileError', reason: 'OVERLOADED' });
    return taken;
  }
}

describe('a place', () => {
  it('is for a lone user’s burst, and for every newcomer beside it', () => {
    const admission = createAdmission(PLACES);
    expect(fill(admission, 'greedy')).toHaveLength(PLACES / 2);
    for (let i = 0; i < 60; i++) admission.admit(`modest-${i}`);
    expect(() => admission.admit('greedy')).toThrow();
  });

  it('is divided among those who want all of them, and some stay free', () => {
    const admission = createAdmission(PLACES);
    const users = ['a', 'b', 'c'];
    for (let round = 0; round < PLACES; round++) {
      for (const user of users) {
        try {
          admission.admit(user);
        } catch {}
      }
    }
    expect(admission.callsUnderWay).toBe((PLACES * 3) / 4);
    expect(fill(admission, 'newcomer').length).toBeGreaterThan(PLACES / 16);
  });

  it('is never one too many, however many users there are', () => {
    const admission = createAdmission(PLACES);
    for (let i = 0; i < PLACES; i++) admission.admit(`${i}`);
    expect(() => admission.admit('newcomer')).toThrow();
    expect(admission.callsUnderWay).toBe(PLACES);
  });

  it('is free again when it was given back', () => {
    const admission = createAdmission(PLACES);
    for (const leave of fill(admission, 'greedy')) leave();
    expect(admission.callsUnderWay).toBe(0);
    expect(fill(admission, 'greedy')).toHaveLength(PLACES / 2);
  });
});

it('a refused call is told when to come back, and not all at the same time', () => {
  const admission = createAdmission(PLACES);
  fill(admission, 'greedy');
  const pauses = Array.from({ length: 100 }, () => {
    try {
      return admission.admit('greedy') && undefined;
    } catch (error) {
      return (error as { retryAfterMs: number }).retryAfterMs;
    }
  });
  expect(Math.min(...pauses.map(Number))).toBeGreaterThanOrEqual(500);
  expect(Math.max(...pauses.map(Number))).toBeLessThanOrEqual(1_500);
  expect(new Set(pauses).size).toBeGreaterThan(50);
});

it('a call keeps its place until its work has ended, though its caller has gone', async () => {
  const admission = createAdmission(2);
  let finish = () => {};
  const work = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const nothing = async () => ({});
  const { listFiles } = implement(
    FileService,
    {
      identify: () => 'user',
      admit: admission.admit,
      trace: (_, __, run) => run(),
      onEnd: () => {},
      defaultTimeoutMs: 20,
      maxTimeoutMs: 20,
    },
    {
      listFiles: async () => {
        await work;
        return {};
      },
      createPresignedUpload: nothing,
      getFile: nothing,
      deleteFile: nothing,
      createPresignedDownload: nothing,
      createMultipartUpload: nothing,
      createPresignedParts: nothing,
      completeMultipartUpload: nothing,
    },
  );
  const context = { requestHeader: new Headers(), timeoutMs: () => undefined, values: createContextValues() };
  await expect(listFiles({} as never, context as unknown as HandlerContext)).rejects.toMatchObject({
    rawMessage: 'the deadline has passed',
  });
  expect(admission.callsUnderWay).toBe(1);
  finish();
  await vi.waitFor(() => expect(admission.callsUnderWay).toBe(0));
});

describe('the service', () => {
  let service: TestService;
  beforeAll(async () => {
    service = await startTestService({ MAX_CONCURRENT_CALLS: '3' });
  });
  afterAll(() => service.stop());

  it('refuses on every wire what it has no place for, before any query, and takes it when it has', async () => {
    const [greedy, other] = [newUser(), newUser()];
    const blocker = await service.pool.connect();
    onTestFinished(() => blocker.release(true));
    await blocker.query('begin; lock table files in access exclusive mode');
    const calls = [1, 2].map(() => service.as(greedy).listFiles({}));
    const underWay = async () => (await fetch(`${service.httpUrl}/metrics`)).text();
    await vi.waitFor(async () => expect(await underWay()).toContain('files_calls_under_way 2'));
    for (const wire of WIRES) {
      expect(await failureOf(service.as(greedy, wire).listFiles({}))).toMatchObject({
        code: 'ResourceExhausted',
        reason: 'OVERLOADED',
        retries: true,
      });
    }
    calls.push(service.as(other).listFiles({}));
    await vi.waitFor(async () => expect(await underWay()).toContain('files_calls_under_way 3'));
    await blocker.query('rollback');
    await Promise.all(calls);
    await expect(service.as(greedy).listFiles({})).resolves.toBeDefined();
  });
});
