import { expect, it, vi } from 'vitest';
import { createSettlements } from '../../src/events/settlements.ts';
import { sampleEvent } from './sample.ts';

it('deliveries are counted as unknown to Postgres until the statement about them has succeeded', async () => {
  const statements: PromiseWithResolvers<void>[] = [];
  const sizes: number[] = [];
  const errors: unknown[] = [];
  const settlements = createSettlements({
    events: {
      acknowledgeEvents(_, events) {
        sizes.push(events.length);
        const statement = Promise.withResolvers<void>();
        statements.push(statement);
        return statement.promise;
      },
      postponeEvents: async () => undefined,
    },
    onError: (error) => errors.push(error),
  });
  settlements.acknowledge(sampleEvent());
  await vi.waitFor(() => expect(statements).toHaveLength(1));
  settlements.acknowledge(sampleEvent());
  expect(settlements.waiting).toBe(2);
  statements[0]?.reject(new Error('Postgres takes no writes'));
  await vi.waitFor(() => expect(statements).toHaveLength(2), 3_000);
  expect(settlements.waiting).toBe(2);
  statements[1]?.resolve();
  await vi.waitFor(() => expect(settlements.waiting).toBe(0));
  expect(sizes).toEqual([1, 2]);
  expect(errors).toHaveLength(1);
});
