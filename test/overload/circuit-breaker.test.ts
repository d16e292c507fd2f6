import { expect, it } from 'vitest';
import { createBreakers } from '../../src/overload/circuit-breaker.ts';

const stateOf = ({ reads, writes }: ReturnType<typeof createBreakers>) => [reads.open, writes.open];

it('failed writes stop writes only, and a write that succeeds closes their breaker', () => {
  const breakers = createBreakers();
  for (let i = 0; i < 3; i++) breakers.writes.onFailure();
  expect(stateOf(breakers)).toEqual([false, true]);
  breakers.reads.onSuccess();
  expect(stateOf(breakers)).toEqual([false, true]);
  breakers.writes.onSuccess();
  expect(stateOf(breakers)).toEqual([false, false]);
});

it('failed reads stop both, because a server that does not answer reads does not answer writes either', () => {
  const breakers = createBreakers();
  for (let i = 0; i < 2; i++) breakers.reads.onFailure();
  expect(stateOf(breakers)).toEqual([false, false]);
  breakers.writes.onFailure();
  expect(stateOf(breakers)).toEqual([false, true]);
  breakers.reads.onFailure();
  expect(stateOf(breakers)).toEqual([true, true]);
});
