/**
 * `src/postgres/statements` is the service's SQL, with one file or folder for each purpose: reads, reservations,
 * transitions, multipart, sweeps, events, the inventory and the checks of an instance. `prepare` in this file makes a
 * statement. `expressions.ts` holds the parts that several statements share.
 *
 * Running statements does not belong here (see `../connection/`), nor does converting rows (see
 * `../file-row.ts`).
 */
import {
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type RawBuilder,
  sql,
} from 'kysely';
import { toWire, type Value, type WireValue } from '../connection/types.ts';

/** A part of a statement: text with placeholders and constants. */
export type Sql = RawBuilder<unknown>;

/** A statement whose text was built once, when the module was loaded. */
export interface Prepared<Params, Row> {
  /** Postgres keeps the plan under this name, once per connection. */
  readonly name: string;
  readonly text: string;
  /** The statement writes nothing, so it can be repeated after any error. */
  readonly reads: boolean;
  /**
   * Whether these rows show that the commit of this write had something to write. Only such a write proves to the
   * circuit breaker that commits work. Only called for writes.
   */
  wrote(rows: readonly Row[]): boolean;
  /** @throws RangeError for an invalid Date */
  values(params: Params): WireValue[];
  /** Never has a value. The property exists only so that the type `Prepared` contains the type of a row. */
  readonly row?: Row;
}

/**
 * Writes constants into the text, so that only values that differ from call to call are parameters. Postgres makes one
 * generic plan for all values of the parameters. With `limit $3`, it therefore expects a tenth of all rows, and reads
 * the whole table. test/postgres/plans.test.ts fails when constants become parameters.
 */
class StatementCompiler extends PostgresQueryCompiler {
  protected override appendValue(value: unknown): void {
    this.appendImmediateValue(value);
  }
}

// This Kysely only compiles statements. It has no connection.
const compiler = new Kysely({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new StatementCompiler(),
  },
});

/**
 * Compiles a statement once for all calls. A statement that is compiled once and named costs about half of the CPU of
 * the same statement built by Kysely at each call, in this process and in Postgres (src/README.md, "Decisions").
 *
 * @param build receives a placeholder for each parameter; a parameter that is used twice is sent once
 * @param wrote default: whether a row is returned, because most writes return the rows that they changed
 */
export function prepare<Params, Row = never>(
  name: string,
  build: (placeholders: Record<keyof Params, Sql>) => Sql,
  wrote: (rows: readonly Row[]) => boolean = (rows) => rows.length > 0,
): Prepared<Params, Row> {
  const names: (keyof Params)[] = [];
  const placeholders = new Proxy({} as Record<keyof Params, Sql>, {
    get(_, param) {
      const known = names.indexOf(param as keyof Params) + 1;
      return sql.raw(`$${known || names.push(param as keyof Params)}`);
    },
  });
  const text = build(placeholders).compile(compiler).sql;
  return {
    name,
    text,
    // Only a text that begins with `select` counts as a read, because a text that begins with `with` may write.
    reads: /^[\s(]*select\b/.test(text),
    wrote,
    values: (params) => names.map((param) => toWire(params[param] as Value)),
  };
}
