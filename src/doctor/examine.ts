import { cannotTell, consequence, type Finding, InterruptedError, type Row } from './row.ts';

/** A row of the report after its probe has run: it has the finding instead of the function `probe`. */
export type Examined = Omit<Row<unknown>, 'probe'> & Finding;

/**
 * Probes `premise`, and then the other rows at once. If the premise does not hold, no other row can be told, and none is
 * probed. The result begins with the premise and has the order of `rows`.
 */
export async function examine<Subject>(
  { premise, rows }: { premise: Row<Subject>; rows: readonly Row<Subject>[] },
  subject: Subject,
): Promise<Examined[]> {
  const first = await examineRow(premise, subject);
  if (first.answer === 'yes') {
    return [first, ...(await Promise.all(rows.map((row) => examineRow(row, subject))))];
  }
  const finding = consequence(
    `not examined, because the first fact ${first.answer === 'no' ? 'does not hold' : 'cannot be told'}`,
  );
  return [first, ...rows.map(({ probe: _, ...row }) => ({ ...row, ...finding }))];
}

async function examineRow<Subject>({ probe, ...row }: Row<Subject>, subject: Subject): Promise<Examined> {
  return { ...row, ...(await probe(subject).catch(toFinding)) };
}

/**
 * Turns the error of a probe into the answer `cannot tell`, with the text of the error. If no address of a host accepts
 * a connection, Node throws an AggregateError, which has no message. Then the text is its code.
 */
function toFinding(error: unknown): Finding {
  if (error instanceof InterruptedError) return consequence(error.message);
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
