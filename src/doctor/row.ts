/**
 * `src/doctor` finds out what the configured bucket and database guarantee. A row (this file) is one fact, with the
 * probe that examines it and what to do if it does not hold; `s3/` and `postgres/` have the rows. A new guarantee that
 * the service relies on belongs here, as a file with one row. Printing does not belong here, but in `src/cli`.
 */

export type Answer = 'yes' | 'no' | 'cannot tell';

export interface Finding {
  answer: Answer;
  /** What the server answered, in a few words. */
  seen: string;
}

/** @template Subject what the probe examines: the bucket or the database */
export interface Row<Subject> {
  /** The fact. It holds if the answer is `yes`. */
  title: string;
  /** The invariant of src/README.md that needs the fact. */
  invariant?: Invariant;
  /** Whether the service works without the fact. Then the answer does not change the exit code. */
  isAdvice?: true;
  /** What follows if the fact does not hold. */
  meaning: string;
  /** What the operator can do if the fact does not hold. */
  remedy: string;
  /** @throws any error if the server does not answer: the answer is `cannot tell` then */
  probe(subject: Subject): Promise<Finding>;
}

export type Invariant = 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7';

export const yes = (seen: string): Finding => ({ answer: 'yes', seen });
export const no = (seen: string): Finding => ({ answer: 'no', seen });
export const cannotTell = (seen: string): Finding => ({ answer: 'cannot tell', seen });

export const yesIf = (holds: boolean, seen: string): Finding => (holds ? yes(seen) : no(seen));
