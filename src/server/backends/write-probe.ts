import type { ObserveStep } from '../../files/ports/observer.ts';
import { type Breakers, ignoringOpen } from '../../overload/circuit-breaker.ts';
import { createDatabase } from '../../postgres/connection/database.ts';
import { isAnswer, isRefusal } from '../../postgres/connection/error-classes.ts';
import { createPool, type DatabaseAddress } from '../../postgres/connection/pool.ts';
import { writeCheck } from '../../postgres/statements/checks.ts';
import { atMost } from '../at-most.ts';
import { causeOf } from './cause-of.ts';

/** The time-out of one probe. A call waits as long for its write (`for-calls.ts`), so slow commits count as working. */
const PROBE_TIMEOUT_MS = 2_500;

/**
 * Finds out when writes to Postgres work again. While the circuit breaker of writes is open, no call sends a write, so
 * only this probe can close the breaker. While the breaker is closed, the writes of calls show whether writes work, and
 * no probe is sent.
 */
export function createWriteProbe(postgres: DatabaseAddress, observe: ObserveStep, breakers: Breakers) {
  const pool = createPool({
    ...postgres,
    maxConnections: 1,
    // A connection is closed after one probe, because probes are rare.
    usesMax: 1,
    connectTimeoutMs: PROBE_TIMEOUT_MS,
    statementTimeoutMs: PROBE_TIMEOUT_MS,
    onIdleError: () => undefined,
  });
  const database = createDatabase(pool, observe, {
    ...postgres,
    statementTimeoutMs: PROBE_TIMEOUT_MS,
    breakers: ignoringOpen(breakers),
  });
  let running: Promise<void> | undefined;

  async function probe(): Promise<void> {
    try {
      await database.run({ deadline: Date.now() + PROBE_TIMEOUT_MS }, writeCheck, {});
    } catch (error) {
      const cause = causeOf(error);
      // Postgres has answered with an error, or refused the connection, for example because none is left. The breaker
      // closes, because only the calls can now find out whether writes work.
      if (isAnswer(cause) || isRefusal(cause)) breakers.writes.onSuccess();
    }
    running = undefined;
  }

  return {
    /** @returns whether writes of calls are sent, after waiting for a probe for `timeoutMs` at most */
    async writesWork(timeoutMs: number): Promise<boolean> {
      if (!breakers.writes.open) return true;
      running ??= probe();
      await atMost(timeoutMs, running);
      return !breakers.writes.open;
    },
    stop: (): Promise<void> => pool.end(),
  };
}
