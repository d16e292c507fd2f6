/**
 * The folder `statements/`: the service's SQL. Each statement is built with Kysely when its module is loaded,
 * and grouped by purpose: reads, reservations, transitions, multipart, sweeps. `prepare` in this file
 * compiles a statement, `expressions.ts` holds what statements share.
 *
 * Running statements does not belong here (see `../connection/`), nor does converting rows (see
 * `../file-row.ts`).
 */
import {
  type Compilable,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type RawBuilder,
  sql,
} from 'kysely';
import { toWire, type Value, type WireValue } from '../connection/types.ts';
import type { Schema } from '../schema.ts';

/** A statement whose text Kysely built once, when the module was loaded. */
export interface Prepared<Params, Row> {
  /** Postgres keeps the plan under this name, once per connection. */
  readonly name: string;
  readonly text: string;
  /** The statement writes nothing, so it can be repeated after any error. */
  readonly reads: boolean;
  /** @throws RangeError for an invalid Date */
  values(params: Params): WireValue[];
  /** Never set: it carries the type of a row. */
  readonly row?: Row;
}

/** Stands, inside `prepare`, for a value that is passed at each call. */
export type Param<Params> = <Name extends keyof Params & string>(name: Name) => RawBuilder<Params[Name]>;

class Placeholder {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/**
 * Writes constants into the text, so that only values that differ from call to call are parameters. A generic
 * plan does not know the values of its parameters. With `state = $3`, Postgres could not use an index `where
 * state = 'ready'`, and read all files of a user with a million of them. test/postgres/plans.test.ts fails
 * when constants become parameters.
 */
class StatementCompiler extends PostgresQueryCompiler {
  protected override appendValue(value: unknown): void {
    if (value instanceof Placeholder) super.appendValue(value);
    else this.appendImmediateValue(value);
  }
}

// Only builds and compiles statements: it has no connection.
const builder = new Kysely<Schema>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new StatementCompiler(),
  },
});

/**
 * Compiles a statement once for all calls. A statement that is compiled once and named costs 44 µs of CPU in
 * this process and 67 µs in Postgres. Built by Kysely at each call, the same statement cost 100 µs and 135 µs
 * (Node 24, 2 cores).
 */
export function prepare<Params>() {
  return <Row>(
    name: string,
    build: (db: Kysely<Schema>, param: Param<Params>) => Compilable<Row>,
  ): Prepared<Params, Row> => {
    const compiled = build(builder, (param) => sql`${new Placeholder(param)}`).compile();
    const placeholders = compiled.parameters as readonly Placeholder[];
    return {
      name,
      text: compiled.sql,
      // A `with` may contain writes.
      reads: compiled.query.kind === 'SelectQueryNode' && compiled.query.with === undefined,
      values: (params) => placeholders.map(({ name }) => toWire(params[name as keyof Params] as Value)),
    };
  };
}
