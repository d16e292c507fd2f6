/**
 * `src/doctor` finds out what the configured bucket and database guarantee. A row (this file) is one fact, with the
 * probe that examines it and what to do if it does not hold; `s3/` and `postgres/` have the rows. A new guarantee that
 * the service relies on belongs here, as a file with one row. Printing does not belong here, but in `src/cli`.
 */

export type Answer = 'yes' | 'no' | 'cannot tell';

export interface Finding {
  answer: Answer;
  /** The answer of the server (S3 or Postgres), in a few words for the report. */
  seen: string;
  /** Takes the place of the remedy of the row, if the answer of the server shows what to do. */
  remedy?: string;
  /** A command that carries the remedy out. The report prints the command on one line, so that it can be pasted. */
  command?: string;
  /**
   * Set with `cannot tell` if the reason is told elsewhere: another row does not hold, or the run was interrupted. The
   * report counts such rows instead of printing each of them, so that the reason stands out.
   */
  isConsequence?: true;
}

/** @template Subject the interface through which the probe examines the bucket or the database */
export interface Row<Subject> {
  /** The fact. It holds if the answer is `yes`. */
  title: string;
  /** The invariant that depends on the fact. src/README.md lists the invariants. */
  invariant?: Invariant;
  /** Set if the service works without the fact. Then the answer does not change the exit code of `npm run doctor`. */
  isAdvice?: true;
  /** The consequence for users or operators if the fact does not hold. */
  meaning: string;
  /** The steps with which an operator makes the fact hold. */
  remedy: string;
  /**
   * @throws InterruptedError if the run was interrupted; any other error if the server does not answer. `examine.ts` turns
   *   each error into the answer `cannot tell`
   */
  probe(subject: Subject): Promise<Finding>;
}

type Invariant = 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7';

export const yes = (seen: string): Finding => ({ answer: 'yes', seen });
export const no = (seen: string): Finding => ({ answer: 'no', seen });
export const cannotTell = (seen: string): Finding => ({ answer: 'cannot tell', seen });
export const consequence = (seen: string): Finding => ({ ...cannotTell(seen), isConsequence: true });

export class InterruptedError extends Error {
  override readonly name = 'InterruptedError';
}

export const yesIf = (holds: boolean, seen: string): Finding => (holds ? yes(seen) : no(seen));
