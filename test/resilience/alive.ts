import { expect } from 'vitest';
import { total } from '../harness/metrics.ts';
import type { ServiceProcess } from '../harness/service-process.ts';
import { envelope } from './http2-frames.ts';
import { ask, grpc, json } from './raw-calls.ts';

/** Checks that ordinary calls succeed on both ports, and that there were no uncaught errors. */
export async function expectAlive({ ports, http }: ServiceProcess): Promise<void> {
  const overGrpc = await ask(ports.gRPC, grpc('ListFiles'), envelope(new Uint8Array()));
  expect(overGrpc).toMatchObject({ outcome: '200 grpc 0' });
  const overHttp = await ask(ports.HTTP, json('ListFiles'), Buffer.from('{}'));
  expect(overHttp).toMatchObject({ outcome: '200' });
  expect(await total(http, 'files_stray_errors_total')).toBe(0);
}
