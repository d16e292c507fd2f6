import { cannotTell, type Finding, type Row } from './row.ts';

/** A row with what its probe found, without the probe. */
export type Examined = Omit<Row<unknown>, 'probe'> & Finding;

/** Runs all probes at once, and returns the rows in their order. */
export function examine<Subject>(rows: readonly Row<Subject>[], subject: Subject): Promise<Examined[]> {
  return Promise.all(
    rows.map(async ({ probe, ...row }) => ({ ...row, ...(await probe(subject).catch(toFinding)) })),
  );
}

/** An AggregateError of the network has a code and no message. */
function toFinding(error: unknown): Finding {
  const { message = '', code } = error as { message?: string; code?: string };
  return cannotTell(message || code || String(error));
}

export type Verdict = 'holds' | 'broken' | 'unknown';

/** What all rows together say about the guarantees. Advice does not count. */
export function verdictOf(rows: readonly Examined[]): Verdict {
  const answers = rows.filter(({ isAdvice }) => isAdvice !== true).map(({ answer }) => answer);
  if (answers.includes('no')) return 'broken';
  return answers.includes('cannot tell') ? 'unknown' : 'holds';
}
