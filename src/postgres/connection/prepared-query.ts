/**
 * Replaces `pg.Query`, which asks Postgres at each call to describe the columns, and parses the names of all
 * columns again. For a result of one row, the description takes as much CPU as the row itself. `PreparedQuery`
 * asks only once for each named statement of a connection.
 */
import type pg from 'pg';
import { parserOf, type WireValue } from './types.ts';

/** A statement with its parameters, as Postgres receives it. */
export interface Statement {
  /**
   * Postgres keeps the parsed statement under this name as long as the connection lives. Unset: Postgres parses
   * and plans the statement at each call.
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
 * The published types of `pg` lack `parsedStatements`, the named statements that Postgres has parsed on this
 * connection. It is safe to use, because `Query` of `pg` and the package `pg-cursor` use it as well.
 */
type Connection = pg.Connection & { readonly parsedStatements: Readonly<Record<string, string>> };

interface ConnectionState {
  /**
   * The columns of the named statements. An entry never becomes wrong: if a change of the schema changes the columns
   * of a named statement, Postgres refuses to run that statement.
   */
  readonly columns: Map<string, Column[]>;
  running: PreparedQuery;
}

const states = new WeakMap<pg.Connection, ConnectionState>();

/** Records that the query now runs on the connection. Returns the known columns of the connection's statements. */
function startOn(connection: pg.Connection, query: PreparedQuery): Map<string, Column[]> {
  const known = states.get(connection);
  if (known !== undefined) {
    known.running = query;
    return known.columns;
  }
  const state: ConnectionState = { columns: new Map(), running: query };
  states.set(connection, state);
  // `pg` passes notices to the client and not to the query, so this listener passes them on to the query.
  connection.on('notice', (notice: { routine?: string }) => state.running.handleNotice(notice));
  return state.columns;
}

/**
 * Postgres committed the statement and did not wait for the synchronous standby, because an administrator cancelled
 * the wait. A failover may lose the change, so the statement has not succeeded.
 */
export class NotReplicatedError extends Error {
  override readonly name = 'NotReplicatedError';
}

/** A statement that is running. `pg` calls one `handle…` method for each message of Postgres's response. */
export class PreparedQuery implements pg.Submittable {
  // `pg` reads `name` and `text`, and records in `parsedStatements` that the connection has parsed this statement.
  readonly name: string | undefined;
  readonly text: string;
  readonly #values: WireValue[];
  readonly #onEnd: (error: Error | undefined, rows: unknown[]) => void;
  readonly #rows: (readonly (string | null)[])[] = [];
  #kept: Map<string, Column[]> | undefined;
  #columns: Column[] | undefined;
  #isReplicated = true;

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
    this.#kept = startOn(connection, this);
    this.#columns = this.#kept.get(name);
    // Holds the messages back until `uncork`, so that they leave in one packet.
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

  /**
   * Recognises the warning that a commit did not wait for the synchronous standby, by the name of the routine that sent
   * it. The text of the warning depends on the language of the server.
   */
  handleNotice({ routine }: { routine?: string }): void {
    if (routine === 'SyncRepWaitForLSN') this.#isReplicated = false;
  }

  handleReadyForQuery(): void {
    if (!this.#isReplicated) {
      this.#onEnd(new NotReplicatedError('the wait for the synchronous standby was cancelled'), []);
      return;
    }
    try {
      const columns = this.#columns ?? [];
      this.#onEnd(
        undefined,
        this.#rows.map((row) => toRow(columns, row)),
      );
    } catch (error) {
      // If this handler threw, no caller would catch the error, and the process would end.
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
