import { EventEmitter } from 'node:events';
import { queryObjects } from 'node:v8';
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { createHealth } from '../../src/rpc/health.ts';

/** A client's Watch, as far as the health service sees it. */
class Watching extends EventEmitter {
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
  let watch: (call: Watching) => void = () => {};
  health.addToGrpc({
    addService(_: ServiceDefinition, implementation: UntypedServiceImplementation) {
      watch = implementation.watch as unknown as typeof watch;
    },
  });
  return (service: string) => {
    const call = new Watching(service);
    watch(call);
    return call;
  };
}

it('names without a service are watched, and nothing of them is kept', () => {
  const watch = watchOf(createHealth());
  const sets = () => Number(queryObjects(Set, { format: 'count' }));
  const before = sets();
  for (let i = 0; i < 1_000; i++) {
    const call = watch(`unknown-${i}`);
    expect(call.answers).toEqual(['SERVICE_UNKNOWN']);
    call.emit('cancelled');
  }
  // What else is alive in this process comes and goes.
  expect(sets() - before).toBeLessThan(100);
});

it('a watch hears of each change, by either name of the service', () => {
  const health = createHealth();
  const watch = watchOf(health);
  const calls = ['', 'files.v1.FileService'].map(watch);
  health.set(true);
  health.set(false);
  for (const { answers } of calls) expect(answers).toEqual(['NOT_SERVING', 'SERVING', 'NOT_SERVING']);
});
