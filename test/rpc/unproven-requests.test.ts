import { EventEmitter } from 'node:events';
import { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Connection } from '../../src/rpc/limits/connection-limit.ts';
import {
  PERIOD_MS,
  UNPROVEN_PER_CONNECTION_MIN,
  UNPROVEN_PER_PERIOD_MAX,
} from '../../src/rpc/limits/limits.ts';
import { limitUnprovenRequests } from '../../src/rpc/limits/unproven-requests.ts';

/** A limit of a port with this many open connections. */
function limitOf(connections: number) {
  const aborted: (Connection | undefined)[] = [];
  const note = limitUnprovenRequests<EventEmitter>({
    connections: { count: () => connections },
    openMax: Number.POSITIVE_INFINITY,
    abort: (_, connection) => void aborted.push(connection),
  });
  const servedOf = (requests: number, connection: Connection) =>
    Array.from({ length: requests }, () => note(new EventEmitter(), connection)).filter(Boolean).length;
  return { aborted, servedOf };
}

const connect = () => new Connection(new Socket());

// On a busy machine, the requests of a test could take longer than the period.
beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

describe('requests of callers without proof in 100 ms', () => {
  it('of all connections have equal shares, so a flood takes nothing from other connections', () => {
    const { aborted, servedOf } = limitOf(100);
    const [flood, other] = [connect(), connect()];
    const share = UNPROVEN_PER_PERIOD_MAX / 100;
    expect(servedOf(1_000, flood)).toBe(share);
    expect(aborted).toEqual(Array(1_000 - share).fill(flood));
    expect(servedOf(share, other)).toBe(share);
  });

  it('are served up to 5 for each connection, even if there are very many connections', () => {
    const { servedOf } = limitOf(100_000);
    for (let index = 0; index < 1_000; index++)
      expect(servedOf(10, connect())).toBe(UNPROVEN_PER_CONNECTION_MIN);
  });

  it('do not count in the next 100 ms', () => {
    const { servedOf } = limitOf(100_000);
    const connection = connect();
    servedOf(100, connection);
    vi.advanceTimersByTime(PERIOD_MS - 1);
    expect(servedOf(1, connection)).toBe(0);
    vi.advanceTimersByTime(1);
    expect(servedOf(100, connection)).toBe(UNPROVEN_PER_CONNECTION_MIN);
  });

  it('have no limit on a connection on which a call was accepted', () => {
    const { servedOf } = limitOf(100_000);
    const gateway = connect();
    gateway.identified();
    expect(servedOf(10_000, gateway)).toBe(10_000);
  });
});
