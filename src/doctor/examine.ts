import { cannotTell, type Finding, type Row } from './row.ts';

/** A row of the report after its probe has run: it has the finding instead of the function `probe`. */
export type Examined = Omit<Row<unknown>, 'probe'> & Finding;

/** Runs the probes of all rows at once. The result has the order of `rows`. */
export function examine<Subject>(rows: readonly Row<Subject>[], subject: Subject): Promise<Examined[]> {
  return Promise.all(
    rows.map(async ({ probe, ...row }) => ({ ...row, ...(await probe(subject).catch(toFinding)) })),
  );
}

/**
 * Turns the error of a probe into the answer `cannot tell`, with the text of the error. If no address of a host accepts
 * a connection, Node throws an AggregateError, which has no message. Then the text is its code.
 */
function toFinding(error: unknown): Finding {
  const { message = '', code } = error as { message?: string; code?: string };
  return cannotTell(message || code || String(error));
}

export type Verdict = 'holds' | 'broken' | 'unknown';

/** Sums up all rows in one word. Rows that are only advice (`isAdvice`) do not count. */
export function verdictOf(rows: readonly Examined[]): Verdict {
  const answers = rows.filter(({ isAdvice }) => isAdvice !== true).map(({ answer }) => answer);
  if (answers.includes('no')) return 'broken';
  return answers.includes('cannot tell') ? 'unknown' : 'holds';
}
