import { type Row, yesIf } from '../../row.ts';
import { type ProbedDatabase, scalar } from '../probed-database.ts';

const TRIES = 10;

/**
 * Inside a cloud region, a round trip takes about 1 ms. An RPC runs up to three statements one after the other, so
 * with 10 ms for each of them it would wait up to 30 ms for the network alone.
 */
const ROUND_TRIP_MAX_MS = 10;

export const roundTrip: Row<ProbedDatabase> = {
  title: `a statement takes less than ${ROUND_TRIP_MAX_MS} ms`,
  isAdvice: true,
  meaning: 'Every call waits for the network, and an instance serves fewer calls at once.',
  remedy: 'Run the service in the zone of the primary.',
  async probe(database) {
    let leastMs = Number.POSITIVE_INFINITY;
    // The first try may take longer, because it may open the connection. So the shortest try counts.
    for (let i = 0; i < TRIES; i++) {
      const startMs = performance.now();
      await scalar(database, '1');
      leastMs = Math.min(leastMs, performance.now() - startMs);
    }
    return yesIf(leastMs < ROUND_TRIP_MAX_MS, `${leastMs.toFixed(1)} ms`);
  },
};
