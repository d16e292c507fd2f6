import { EventEmitter } from 'node:events';
import { queryObjects } from 'node:v8';
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { createHealth } from '../../src/rpc/health.ts';

/** The part of a client's Watch call that the health service uses. */
class WatchCall extends EventEmitter {
  readonly answers: string[] = [];
  readonly request: { service: string };

  constructor(service: string) {
    super();
    this.request = { service };
  }

  write({ status }: { status: string }): void {
    this.answers.push(status);
  }
}

function watchOf(health: ReturnType<typeof createHealth>) {
  let watch: (call: WatchCall) => void = () => {};
  health.addToGrpc({
    addService(_: ServiceDefinition, implementation: UntypedServiceImplementation) {
      watch = implementation.watch as unknown as typeof watch;
    },
  });
  return (service: string) => {
    const call = new WatchCall(service);
    watch(call);
    return call;
  };
}

it('watching 1,000 unknown service names keeps none of the names in memory', () => {
  const watch = watchOf(createHealth());
  const sets = () => Number(queryObjects(Set, { format: 'count' }));
  const before = sets();
  for (let i = 0; i < 1_000; i++) {
    const call = watch(`unknown-${i}`);
    expect(call.answers).toEqual(['SERVICE_UNKNOWN']);
    call.emit('cancelled');
  }
  // The tolerance is for other sets of this process, which are created and collected meanwhile.
  expect(sets() - before).toBeLessThan(100);
});

it('a watch receives each change under either name of the service', () => {
  const health = createHealth();
  const watch = watchOf(health);
  const calls = ['', 'files.v1.FileService'].map(watch);
  health.set(true);
  health.set(false);
  for (const { answers } of calls) expect(answers).toEqual(['NOT_SERVING', 'SERVING', 'NOT_SERVING']);
});
