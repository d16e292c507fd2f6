import { expect, it } from 'vitest';
import { createRetryBudget } from '../../src/overload/retry-budget.ts';

it('a retry budget allows a burst of 20 retries, then one retry for ten answers', () => {
  const budget = createRetryBudget();
  const spent = () => {
    let retries = 0;
    while (budget.spend()) retries++;
    return retries;
  };
  expect(spent()).toBe(20);
  for (let i = 0; i < 105; i++) budget.earn();
  expect(spent()).toBe(10);
  for (let i = 0; i < 10_000; i++) budget.earn();
  expect(spent()).toBe(20);
});
