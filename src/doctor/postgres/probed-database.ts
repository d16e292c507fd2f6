/**
 * `src/doctor/postgres` has the rows of the doctor's report about the database. The rows examine the server
 * (`server/`), the table and the rights (`table/`), and the connection between the service and Postgres
 * (`connection/`). `rows.ts` lists the rows in the order of the report. This file has the interface through
 * which the rows send statements. A statement that changes something does not belong in this folder.
 */
/** The database that the rows examine. Statements use the connection pool of the service. */
export interface ProbedDatabase {
  /** @throws the error of Postgres or of the connection */
  query(text: string): Promise<DatabaseRow[]>;
  /** Whether a pooler (pgbouncer) is between the service and Postgres. */
  hasPooler(): Promise<boolean>;
  readonly settings: {
    pooler: 'none' | 'session' | 'transaction';
    /** Whether the service delivers events (EVENTS_URL), for which the table needs further columns. */
    deliversEvents: boolean;
    /** The most connections that one instance of the service opens: DATABASE_POOL_SIZE and two for health checks. */
    connections: number;
    /** The settings of Postgres that each connection must have: the value of each setting, by its name. */
    session: Readonly<Record<string, string>>;
  };
}

export type DatabaseRow = Readonly<Record<string, unknown>>;

/** @returns the value of the SQL expression as text; empty if the value is null */
export async function scalar(database: ProbedDatabase, expression: string): Promise<string> {
  const [row] = await database.query(`select (${expression})::text as value`);
  return String(row?.value ?? '');
}
