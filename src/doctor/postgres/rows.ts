import type { Row } from '../row.ts';
import { jit } from './connection/jit.ts';
import { pooler } from './connection/pooler.ts';
import { reachable } from './connection/reachable.ts';
import { roundTrip } from './connection/round-trip.ts';
import { session } from './connection/session.ts';
import { timeOuts } from './connection/time-outs.ts';
import type { ProbedDatabase } from './probed-database.ts';
import { checksums } from './server/checksums.ts';
import { connections } from './server/connections.ts';
import { damagedPages } from './server/damaged-pages.ts';
import { durable } from './server/durable.ts';
import { encoding } from './server/encoding.ts';
import { primary } from './server/primary.ts';
import { standby } from './server/standby.ts';
import { version } from './server/version.ts';
import { migrations } from './table/migrations.ts';
import { rights } from './table/rights.ts';
import { schema } from './table/schema.ts';

/** All rows about the database, in the order in which the report prints them. */
export const DATABASE_ROWS: { premise: Row<ProbedDatabase>; rows: readonly Row<ProbedDatabase>[] } = {
  premise: reachable,
  rows: [
    ...[version, encoding, primary, durable, standby, damagedPages, checksums, connections],
    ...[schema, rights, migrations],
    ...[session, timeOuts, jit, pooler, roundTrip],
  ],
};
