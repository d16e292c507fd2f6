/**
 * `src/doctor/postgres` examines the database over the connections of the service (this file): the server (`server/`),
 * the table and the rights (`table/`), and the connection between them (`connection/`). `rows.ts` has their order. A
 * statement that changes something does not belong here.
 */
/** The database that the rows examine, over the connections of the service. */
export interface ProbedDatabase {
  /** @throws the error of Postgres or of the connection */
  query(text: string): Promise<DatabaseRow[]>;
  /** Whether a pooler (pgbouncer) is between the service and Postgres. */
  hasPooler(): Promise<boolean>;
  readonly settings: {
    pooler: 'none' | 'session' | 'transaction';
    /** The connections that one instance of the service opens: DATABASE_POOL_SIZE and one for the checks. */
    connections: number;
    /** The values that each connection must have. */
    session: Readonly<Record<string, string>>;
  };
}

export type DatabaseRow = Readonly<Record<string, unknown>>;

/** The one value that a statement returns. */
export async function scalar(database: ProbedDatabase, expression: string): Promise<string> {
  const [row] = await database.query(`select (${expression})::text as value`);
  return String(row?.value ?? '');
}
