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

/** A statement whose text was built once, by Kysely, when the module was loaded. */
export interface Prepared<Params, Row> {
  /** Postgres keeps the plan under it for each connection. */
  readonly name: string;
  readonly text: string;
  /** It writes nothing, so running it twice is running it once. */
  readonly reads: boolean;
  /** @throws RangeError for a Date that is no time */
  values(params: Params): WireValue[];
  /** Only a type: what a row looks like. */
  readonly row?: Row;
}

/** Stands for a value that is given at each call, inside `prepare`. */
export type Param<Params> = <Name extends keyof Params & string>(name: Name) => RawBuilder<Params[Name]>;

class Placeholder {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/**
 * Only what differs from call to call is a parameter; constants stand in the
 * text. A plan that is kept knows no parameter's value, so with `state = $3` it
 * could not use an index `where state = 'ready'`: of a user with a million files
 * it read them all. test/postgres/plans.test.ts fails when that comes back.
 */
class StatementCompiler extends PostgresQueryCompiler {
  protected override appendValue(value: unknown): void {
    if (value instanceof Placeholder) super.appendValue(value);
    else this.appendImmediateValue(value);
  }
}

// Builds and compiles; it is connected to nothing.
const builder = new Kysely<Schema>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new StatementCompiler(),
  },
});

/**
 * Compiles a query once and for all calls. Built at each call, the same query
 * costs 100 µs of CPU here and 135 µs in Postgres; so, 44 and 67 (design, §6).
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
      // A `with` may hold writes.
      reads: compiled.query.kind === 'SelectQueryNode' && compiled.query.with === undefined,
      values: (params) => placeholders.map(({ name }) => toWire(params[name as keyof Params] as Value)),
    };
  };
}
