import type { Examined, Verdict } from '../doctor/examine.ts';

export interface DoctorReport {
  verdict: Verdict;
  bucket: { url: string; region: string; rows: readonly Examined[] };
  database: { rows: readonly Examined[] };
  sent: { requests: number; bytes: number; seconds: number };
  /** The keys of the objects that `npm run doctor` uploaded as a test and could not remove. */
  left: readonly string[];
}

/**
 * The width at which the text of a row is broken into lines. Lines of this width fit into the Markdown documents of
 * this repository.
 */
const WIDTH = 112;

/**
 * The widths of the first two columns: the answer (`yes`), and the number of an invariant of `src/README.md` (`I2`).
 */
const ANSWER_WIDTH = 13;
const INVARIANT_WIDTH = 4;
const INDENT = ' '.repeat(ANSWER_WIDTH + INVARIANT_WIDTH);

const ANSWERS = { yes: 'yes', no: 'NO', 'cannot tell': 'cannot tell' };

const VERDICTS = {
  holds: 'Every guarantee holds.',
  broken: 'A guarantee does not hold: see the rows with NO that are no advice.',
  unknown: 'Whether every guarantee holds cannot be told.',
};

/** Returns the report as text for a person. With `--json`, the command prints the report as JSON instead. */
export function describeReport({ verdict, bucket, database, sent, left }: DoctorReport): string[] {
  const mebibytes = (sent.bytes / 1024 ** 2).toFixed(1);
  return [
    `Bucket ${bucket.url} (region ${bucket.region})`,
    ...describeRows(bucket.rows),
    '',
    'Database',
    ...describeRows(database.rows),
    '',
    VERDICTS[verdict],
    `${sent.requests} requests, ${mebibytes} MiB, ${sent.seconds.toFixed(1)} s. ${describeLeft(left)}`,
  ];
}

/** Prints each row, and counts those that only follow from another row, by their reason. */
function describeRows(rows: readonly Examined[]): string[] {
  const consequences = Map.groupBy(
    rows.filter(({ isConsequence }) => isConsequence),
    ({ seen }) => seen,
  );
  return [
    ...rows.filter(({ isConsequence }) => !isConsequence).flatMap(describeRow),
    ...[...consequences].flatMap(([reason, { length }]) => {
      const count = length === 1 ? '1 more fact' : `${length} more facts`;
      return describeText('cannot tell', '', `${count}: ${reason}`);
    }),
  ];
}

function describeRow(row: Examined): string[] {
  const { answer, title, seen, invariant, isAdvice, meaning, remedy, command } = row;
  const fact = describeText(answer, invariant ?? '', `${title}: ${seen}`);
  if (answer === 'yes') return fact;
  const effect = `${isAdvice ? 'Advice. ' : ''}${answer === 'no' ? '' : 'If not: '}${meaning}`;
  const steps = [...wrap(`To do: ${remedy}`), ...(command === undefined ? [] : [command])];
  return [...fact, ...indented([...wrap(effect), ...steps])];
}

function describeText(answer: Examined['answer'], invariant: string, text: string): string[] {
  const [first = '', ...rest] = wrap(text);
  return [
    ANSWERS[answer].padEnd(ANSWER_WIDTH) + invariant.padEnd(INVARIANT_WIDTH) + first,
    ...indented(rest),
  ];
}

function describeLeft(left: readonly string[]): string {
  if (left.length === 0) return 'Nothing was left behind.';
  return `Left behind, because S3 did not remove it: ${left.join(', ')}`;
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => INDENT + line);
}

/** Breaks a text at blanks. A word that is longer than the line stays whole. */
function wrap(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > WIDTH - INDENT.length) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
