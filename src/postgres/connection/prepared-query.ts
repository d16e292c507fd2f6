/**
 * Replaces `pg.Query`, which asks Postgres to describe the columns at each call and parses all their names
 * again. For a result of one row, this takes as much CPU as the row itself. `PreparedQuery` asks once per
 * connection and named statement.
 */
import type pg from 'pg';
import { parserOf, type WireValue } from './types.ts';

/** A statement with its parameters, as Postgres receives it. */
export interface Statement {
  /**
   * The connection keeps the plan under this name. Unset: Postgres parses and plans the statement at each
   * call.
   */
  name?: string;
  text: string;
  values: WireValue[];
}

interface Column {
  name: string;
  parse: (text: string) => unknown;
}

/**
 * `parsedStatements` is missing in the published types. `pg`'s own `Query` and `pg-cursor` use it as well, to
 * know which statements the connection has parsed.
 */
type Connection = pg.Connection & { readonly parsedStatements: Readonly<Record<string, string>> };

/**
 * The columns of the named statements of each connection. An entry never becomes wrong: when the columns of a
 * statement change, Postgres fails the statement.
 */
const keptColumns = new WeakMap<pg.Connection, Map<string, Column[]>>();

function columnsKeptOn(connection: pg.Connection): Map<string, Column[]> {
  let columns = keptColumns.get(connection);
  if (columns === undefined) {
    columns = new Map();
    keptColumns.set(connection, columns);
  }
  return columns;
}

/** A statement that is running. `pg` calls one `handle…` method for each message of Postgres's response. */
export class PreparedQuery implements pg.Submittable {
  // `pg` reads these two to record in `parsedStatements` what the connection has parsed.
  readonly name: string | undefined;
  readonly text: string;
  readonly #values: WireValue[];
  readonly #onEnd: (error: Error | undefined, rows: unknown[]) => void;
  readonly #rows: (readonly (string | null)[])[] = [];
  #kept: Map<string, Column[]> | undefined;
  #columns: Column[] | undefined;

  /** @param onEnd called with the rows or an error; called again if the connection breaks after that */
  constructor({ name, text, values }: Statement, onEnd: (error: Error | undefined, rows: unknown[]) => void) {
    this.name = name;
    this.text = text;
    this.#values = values;
    this.#onEnd = onEnd;
  }

  submit(connection: pg.Connection): void {
    const { parsedStatements } = connection as Connection;
    const { name = '', text } = this;
    this.#kept = columnsKeptOn(connection);
    this.#columns = this.#kept.get(name);
    // All messages in one packet.
    connection.stream.cork();
    if (parsedStatements[name] === undefined) connection.parse({ name, text, types: [] }, true);
    connection.bind({ statement: name, values: this.#values }, true);
    if (this.#columns === undefined) connection.describe({ type: 'P' }, true);
    connection.execute({}, true);
    connection.sync();
    connection.stream.uncork();
  }

  handleRowDescription({ fields }: { fields: readonly pg.FieldDef[] }): void {
    this.#columns = fields.map(({ name, dataTypeID }) => ({ name, parse: parserOf(dataTypeID) }));
  }

  handleDataRow({ fields }: { fields: readonly (string | null)[] }): void {
    this.#rows.push(fields);
  }

  handleCommandComplete(): void {
    // Postgres sends no description for a statement that returns no rows.
    if (this.name !== undefined) this.#kept?.set(this.name, this.#columns ?? []);
  }

  handleError(error: Error): void {
    this.#onEnd(error, []);
  }

  handleReadyForQuery(): void {
    try {
      const columns = this.#columns ?? [];
      this.#onEnd(
        undefined,
        this.#rows.map((row) => toRow(columns, row)),
      );
    } catch (error) {
      // An error thrown from this handler would end the process.
      this.#onEnd(error as Error, []);
    }
  }
}

function toRow(columns: readonly Column[], fields: readonly (string | null)[]): unknown {
  const row: Record<string, unknown> = {};
  columns.forEach(({ name, parse }, index) => {
    const text = fields[index] ?? null;
    row[name] = text === null ? null : parse(text);
  });
  return row;
}
