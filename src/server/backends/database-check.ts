import type { Logger } from 'pino';
import type { ObserveStep } from '../../files/ports/observer.ts';
import { type Breakers, ignoringOpen } from '../../overload/circuit-breaker.ts';
import { createDatabase, type Database } from '../../postgres/connection/database.ts';
import { isRefusal } from '../../postgres/connection/error-classes.ts';
import { createPool, type DatabaseAddress } from '../../postgres/connection/pool.ts';
import { schemaCheck } from '../../postgres/statements/checks.ts';
import { formFor } from '../../postgres/statements/forms.ts';
import type { DatabaseState } from '../readiness.ts';
import { causeOf } from './cause-of.ts';
import { CHECK_TIMEOUT_MS, checkWork } from './check-work.ts';
import { createWriteProbe } from './write-probe.ts';

/**
 * How many checks use a connection before the connection is closed. The next check opens a new connection, so
 * the check notices when Postgres accepts no new connections.
 */
const CONNECTION_USES = 2;

interface CheckedDatabase {
  postgres: DatabaseAddress;
  /** The database of the calls. Its statements use the connections that the calls use. */
  database: Database;
  /** Whether the service delivers events, and needs the columns for them. Default: `false`. */
  announcesChanges?: boolean | undefined;
  log: Logger;
  observe: ObserveStep;
  breakers: Breakers;
}

/**
 * Returns the check of Postgres, which has a connection of its own. So the check succeeds even if all connections for
 * calls are busy. A busy instance must not leave the load balancer, because all instances may be busy at the same time.
 */
export function createDatabaseCheck(checked: CheckedDatabase) {
  const { postgres, database, log, observe, breakers } = checked;
  const statement = schemaCheck[formFor(checked)];
  const ownPool = createPool({
    ...postgres,
    maxConnections: 1,
    usesMax: CONNECTION_USES,
    connectTimeoutMs: CHECK_TIMEOUT_MS,
    statementTimeoutMs: CHECK_TIMEOUT_MS,
    onIdleError: () => undefined,
  });
  const own = createDatabase(ownPool, observe, {
    ...postgres,
    statementTimeoutMs: CHECK_TIMEOUT_MS,
    breakers: ignoringOpen(breakers),
  });
  const writeProbe = createWriteProbe(postgres, observe, breakers);
  let wasRefused = false;

  /**
   * @returns whether Postgres takes writes, and is not a standby, for example
   * @throws if Postgres does not answer, or does not have the schema, or refuses the connections that calls need
   */
  async function takesWrites(): Promise<boolean> {
    const [ofOwn, ofCalls] = await Promise.all([
      checkSchema(own, statement),
      checkSchema(database, statement),
    ]);
    // `database` uses the connections for calls. If Postgres refuses a new connection, a statement waits
    // for a connection that is already open. So if `ofCalls.error` is a refusal, no connection is open, and
    // calls would be refused, too.
    if (isRefusal(ofCalls.error)) throw ofCalls.error;
    // The check often opens a new connection. That connection may fail, or take too long, while the
    // connections that are already open serve calls. So `ofOwn.error` alone does not make the check fail.
    if (ofOwn.error !== undefined && ofCalls.error !== undefined) throw ofOwn.error;
    const refused = isRefusal(ofOwn.error);
    if (refused && !wasRefused) log.warn({ err: ofOwn.error }, 'no new connection to Postgres');
    wasRefused = refused;
    return ofOwn.takesWrites || ofCalls.takesWrites;
  }

  return {
    /** @throws if Postgres cannot serve reads */
    async database(): Promise<DatabaseState> {
      const [takes, work] = await Promise.all([takesWrites(), writeProbe.writesWork(CHECK_TIMEOUT_MS)]);
      return { writes: takes && work };
    },
    async stop(): Promise<void> {
      await Promise.all([ownPool.end(), writeProbe.stop()]);
    },
  };
}

async function checkSchema(
  database: Database,
  statement: typeof schemaCheck.silent,
): Promise<{ takesWrites: boolean; error?: unknown }> {
  try {
    const [row] = await database.run(checkWork(), statement, {});
    return { takesWrites: row?.takes_writes === true };
  } catch (error) {
    return { takesWrites: false, error: causeOf(error) };
  }
}
