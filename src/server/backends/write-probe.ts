import type { ObserveStep } from '../../files/ports/observer.ts';
import { type Breakers, ignoringOpen } from '../../overload/circuit-breaker.ts';
import { createDatabase } from '../../postgres/connection/database.ts';
import { isAnswer, isRefusal } from '../../postgres/connection/error-classes.ts';
import { createPool, type DatabaseAddress } from '../../postgres/connection/pool.ts';
import { writeCheck } from '../../postgres/statements/checks.ts';
import { atMost } from '../at-most.ts';
import { causeOf } from './cause-of.ts';

/** The time of one probe. A call may wait about as long for its write, so slow commits count as working. */
const PROBE_TIMEOUT_MS = 2_500;

/**
 * Finds out when writes work again. While the breaker of writes is open, no call sends a write, so only the probe can
 * close the breaker. While the breaker is closed, the calls themselves are the probe, and nothing is sent.
 */
export function createWriteProbe(postgres: DatabaseAddress, observe: ObserveStep, breakers: Breakers) {
  const pool = createPool({
    ...postgres,
    maxConnections: 1,
    // The probe is rare, and needs no connection in between.
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
      // Postgres has refused the probe, for example because no connection is left for it. Only the calls can find
      // out whether writes work.
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
