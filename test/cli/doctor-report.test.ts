import { expect, it } from 'vitest';
import { type DoctorReport, describeReport } from '../../src/cli/doctor-report.ts';
import type { Examined } from '../../src/doctor/examine.ts';

const row = (changes: Partial<Examined>): Examined => ({
  title: 'a fact',
  answer: 'yes',
  seen: '200',
  meaning: 'files can be lost',
  remedy: 'change the policy of the bucket',
  ...changes,
});

const consequenceOf = (seen: string) => row({ answer: 'cannot tell', isConsequence: true, seen });

const report = (changes: Partial<DoctorReport>): DoctorReport => ({
  verdict: 'holds',
  bucket: { url: 'http://127.0.0.1:9000/files/', region: 'us-east-1', rows: [row({})] },
  database: { rows: [row({})] },
  sent: { requests: 12, bytes: 3 * 1024 ** 2, seconds: 1.5 },
  left: [],
  ...changes,
});

it('the report shows what does not hold, its effect and the remedy, and counts consequences by their reason', () => {
  const rows = [
    row({ invariant: 'I2', seen: Array(30).fill('word').join(' ') }),
    row({ answer: 'no', seen: '403', command: 'aws s3api put-bucket-policy' }),
    row({ answer: 'no', isAdvice: true }),
    consequenceOf('the bucket is missing'),
    row({ answer: 'cannot tell', seen: '503' }),
    consequenceOf('the bucket is missing'),
    consequenceOf('no answer'),
  ];
  const { bucket } = report({});
  expect(describeReport(report({ verdict: 'broken', bucket: { ...bucket, rows } }))).toEqual([
    'Bucket http://127.0.0.1:9000/files/ (region us-east-1)',
    'yes          I2  a fact: word word word word word word word word word word word word word word word word word',
    '                 word word word word word word word word word word word word word',
    'NO               a fact: 403',
    '                 files can be lost',
    '                 To do: change the policy of the bucket',
    '                 aws s3api put-bucket-policy',
    'NO               a fact: 200',
    '                 Advice. files can be lost',
    '                 To do: change the policy of the bucket',
    'cannot tell      a fact: 503',
    '                 If not: files can be lost',
    '                 To do: change the policy of the bucket',
    'cannot tell      2 more facts: the bucket is missing',
    'cannot tell      1 more fact: no answer',
    '',
    'Database',
    'yes              a fact: 200',
    '',
    'A guarantee does not hold: see the rows with NO that are no advice.',
    '12 requests, 3.0 MiB, 1.5 s. Nothing was left behind.',
  ]);
});

it.each([
  ['holds', 'Every guarantee holds.'],
  ['unknown', 'Whether every guarantee holds cannot be told.'],
] as const)('the report of a run whose verdict is "%s" ends with: %s', (verdict, text) => {
  expect(describeReport(report({ verdict })).at(-2)).toBe(text);
});

it('the report names the objects that S3 did not remove', () => {
  expect(describeReport(report({ left: ['a', 'b'] })).at(-1)).toBe(
    '12 requests, 3.0 MiB, 1.5 s. Left behind, because S3 did not remove it: a, b',
  );
});
