import type pg from 'pg';
import { parserOf, type WireValue } from './types.ts';

/** What Postgres is sent. */
export interface Statement {
  /** The connection keeps its plan by it. Unset: it is parsed and planned at each call. */
  name?: string;
  text: string;
  values: WireValue[];
}

interface Column {
  name: string;
  parse: (text: string) => unknown;
}

/** With what pg's own `Query` and pg-cursor use of it, too. */
type Connection = pg.Connection & { readonly parsedStatements: Readonly<Record<string, string>> };

/** Of the statements that a connection has kept. They stay: Postgres fails one whose columns have changed. */
const keptColumns = new WeakMap<pg.Connection, Map<string, Column[]>>();

function columnsKeptOn(connection: pg.Connection): Map<string, Column[]> {
  let columns = keptColumns.get(connection);
  if (columns === undefined) {
    columns = new Map();
    keptColumns.set(connection, columns);
  }
  return columns;
}

/**
 * A statement on its way. `pg` tells it of each message that Postgres answers.
 *
 * `pg.Query` has Postgres describe the columns at each call, and reads all their
 * names anew, which for a single row is as much work as the row. Here they are
 * described once per connection and kept statement.
 */
export class PreparedQuery implements pg.Submittable {
  // `pg` writes down by these two what it has kept.
  readonly name: string | undefined;
  readonly text: string;
  readonly #values: WireValue[];
  readonly #onEnd: (error: Error | undefined, rows: unknown[]) => void;
  readonly #rows: (readonly (string | null)[])[] = [];
  #kept: Map<string, Column[]> | undefined;
  #columns: Column[] | undefined;

  /** @param onEnd with the rows, or with what went wrong; called again where a connection breaks after that */
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
    // Into one packet.
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
    // What gives no rows has no columns.
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
      // Thrown from here, it would end the process.
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
