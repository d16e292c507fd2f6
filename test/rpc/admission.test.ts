import { EventEmitter } from 'node:events';
import { create } from '@bufbuild/protobuf';
import type { HandlerContext } from '@connectrpc/connect';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FileService, ListFilesRequestSchema } from '../../gen/files/v1/file_service_pb.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { type Admission, createAdmission, type Permit } from '../../src/overload/admission.ts';
import type { AdmittedCall } from '../../src/rpc/admitted-call.ts';
import { createCallGate } from '../../src/rpc/call-gate.ts';
import { withCallPolicy } from '../../src/rpc/call-policy.ts';
import { FILE_SERVICE_WEIGHTS } from '../../src/rpc/call-weights.ts';
import { failureOf } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { PROTOCOLS, startTestService } from '../harness/service.ts';
import { waitFor } from '../harness/wait-for.ts';

const PLACES = 256;

/** Takes places for a user until one is refused. */
function fill({ admit }: ReturnType<typeof createAdmission>, user: string): Permit[] {
  const taken: Permit[] = [];
  try {
    for (;;) taken.push(admit(user));
  } catch (error) {
    expect(error).toMatchObject({ name: 'FileError', reason: 'OVERLOADED' });
    return taken;
  }
}

describe('admission', () => {
  it('gives a lone user half of the places, and still admits new users', () => {
    const admission = createAdmission(PLACES);
    expect(fill(admission, 'greedy')).toHaveLength(PLACES / 2);
    for (let i = 0; i < 60; i++) admission.admit(`modest-${i}`);
    expect(() => admission.admit('greedy')).toThrow();
  });

  it('gives three greedy users three quarters of the places, and keeps the rest free for new users', () => {
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

  it('never admits more calls than it has places, however many users there are', () => {
    const admission = createAdmission(PLACES);
    for (let i = 0; i < PLACES; i++) admission.admit(`${i}`);
    expect(() => admission.admit('newcomer')).toThrow();
    expect(admission.callsUnderWay).toBe(PLACES);
  });

  it('admits as many calls as before when all places were released', () => {
    const admission = createAdmission(PLACES);
    for (const place of fill(admission, 'greedy')) place.release();
    expect(admission.callsUnderWay).toBe(0);
    expect(fill(admission, 'greedy')).toHaveLength(PLACES / 2);
  });
});

it('a refused call receives a random retry delay between 500 and 1,500 ms', () => {
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

describe('the weight of a call', () => {
  it('counts against the user, and is released as a whole', () => {
    const admission = createAdmission(PLACES);
    const place = admission.admit('heavy');
    place.grow(40);
    expect(admission.weightUnderWay).toBe(40);
    expect(admission.callsUnderWay).toBe(1);
    place.release();
    expect(admission.weightUnderWay).toBe(0);
    expect(fill(admission, 'heavy')).toHaveLength(PLACES / 2);
  });

  it('is refused if the capacity does not suffice, and the call keeps its former weight', () => {
    const admission = createAdmission(PLACES);
    const places = Array.from({ length: 3 }, () => admission.admit('heavy'));
    for (const place of places.slice(0, 2)) place.grow(50);
    expect(() => places[2]?.grow(60)).toThrow('more calls than it can serve');
    expect(admission.weightUnderWay).toBe(101);
    places[2]?.grow(20);
    expect(admission.weightUnderWay).toBe(120);
  });

  it('stands in the metrics beside the number of calls', async () => {
    const admission = createAdmission(PLACES);
    admission.admit('heavy').grow(40);
    admission.admit('light');
    const metrics = createMetrics();
    metrics.watchAdmission(admission);
    const text = await metrics.registry.metrics();
    expect(text).toContain('\nfiles_calls_under_way 2\n');
    expect(text).toContain('\nfiles_call_weight_under_way 41\n');
  });

  it('is capped at half of the capacity, so that a lone call is always admitted', () => {
    for (const weightMax of [2, 3, 8]) {
      const admission = createAdmission(weightMax);
      const place = admission.admit('lone');
      place.grow(1_000);
      expect(admission.weightUnderWay).toBe(Math.floor(weightMax / 2));
      place.release();
    }
  });
});

describe('an admitted call', () => {
  const caller = { headers: {}, connection: undefined };
  const admit = (admission: Admission) => {
    const gate = createCallGate({
      identify: () => 'user',
      admission,
      onEnd: () => {},
      defaultTimeoutMs: 20,
      maxTimeoutMs: 20,
    });
    const stream = new EventEmitter();
    const incoming = { method: 'ListFiles', caller, timeoutMs: undefined, connection: undefined, stream };
    return { call: gate.admit(incoming), close: () => stream.emit('close') };
  };
  const nothing = async () => ({});
  const service = (work: Promise<unknown>) =>
    withCallPolicy(FileService, { trace: (_, __, run) => run(), onEnd: () => {} }, FILE_SERVICE_WEIGHTS, {
      listFiles: async () => {
        await work;
        return {};
      },
      createPresignedUpload: nothing,
      batchCreatePresignedUploads: nothing,
      batchGetFiles: nothing,
      getFile: nothing,
      deleteFile: nothing,
      createPresignedDownload: nothing,
      createMultipartUpload: nothing,
      createPresignedParts: nothing,
      completeMultipartUpload: nothing,
    });
  const contextOf = (admittedCall: AdmittedCall) => ({ admittedCall }) as unknown as HandlerContext;
  const request = create(ListFilesRequestSchema, { pageSize: 1 });

  it('keeps its place until its work has ended, even if its client has disconnected', async () => {
    const admission = createAdmission(2);
    const { promise: work, resolve: finish } = Promise.withResolvers<void>();
    const { call, close } = admit(admission);
    await expect(service(work).listFiles(request, contextOf(call))).rejects.toMatchObject({
      rawMessage: 'the deadline has passed',
    });
    close();
    expect(admission.callsUnderWay).toBe(1);
    finish();
    await waitFor(() => expect(admission.callsUnderWay).toBe(0));
  });

  it('keeps its place until its response has been written', async () => {
    const admission = createAdmission(2);
    const { call, close } = admit(admission);
    await service(Promise.resolve()).listFiles(request, contextOf(call));
    expect(admission.callsUnderWay).toBe(1);
    close();
    expect(admission.callsUnderWay).toBe(0);
  });

  it('does no work if its client disconnected before the request was decoded', async () => {
    const admission = createAdmission(2);
    const { call, close } = admit(admission);
    close();
    expect(admission.callsUnderWay).toBe(0);
    await expect(service(Promise.resolve()).listFiles(request, contextOf(call))).rejects.toMatchObject({
      rawMessage: 'the client has disconnected',
    });
    expect(admission.callsUnderWay).toBe(0);
  });
});

describe('the service', () => {
  const service = forAllTests(() => startTestService({ MAX_CONCURRENT_CALLS: '3' }));

  it('refuses calls above its capacity before any query, on every protocol, and serves them later', async () => {
    const [greedy, other] = [newUser(), newUser()];
    const blocker = await service.pool.connect();
    onTestFinished(() => blocker.release(true));
    await blocker.query('begin; lock table files in access exclusive mode');
    const calls = [1, 2].map(() => service.as(greedy).listFiles({}));
    const underWay = async () => (await fetch(`${service.httpUrl}/metrics`)).text();
    await waitFor(async () => expect(await underWay()).toContain('files_calls_under_way 2'));
    for (const protocol of PROTOCOLS) {
      expect(await failureOf(service.as(greedy, protocol).listFiles({}))).toMatchObject({
        code: 'ResourceExhausted',
        reason: 'OVERLOADED',
        retries: true,
      });
    }
    calls.push(service.as(other).listFiles({}));
    await waitFor(async () => expect(await underWay()).toContain('files_calls_under_way 3'));
    await blocker.query('rollback');
    await Promise.all(calls);
    await expect(service.as(greedy).listFiles({})).resolves.toBeDefined();
  });
});
