import { describe, expect, it } from 'vitest';
import { s3Key } from '../../src/files/rules/s3-key.ts';
import { hintedFiles, RECORDS_MAX } from '../../src/hints/hinted-files.ts';
import { ofAmazonS3, ofCephRgw, ofEventBridge, ofMinio, SENDERS, TEST_MESSAGES } from './messages.ts';

const BUCKET = 'files';
const REF = { userId: 'ada+1@example.com', s3Key: s3Key('ada+1@example.com', 'Ü b.txt') };

describe.each(Object.entries(SENDERS))('a message of %s', (_, message) => {
  it('names the file of its key', () => {
    expect(hintedFiles(message(BUCKET, REF.s3Key), BUCKET)).toEqual([REF]);
  });

  it('is ignored if it is about another bucket', () => {
    expect(hintedFiles(message('other', REF.s3Key), BUCKET)).toEqual([]);
  });

  it.each([
    ['with a space', 'ada_a b.txt'],
    ['with a plus', 'ada_a+b.txt'],
    ['with a percent sign', 'ada_%.txt'],
    ['with an umlaut', 'ada_ä.txt'],
    ['in a folder', 'uploads/ada_a.txt'],
    ['without a user', 'readme.txt'],
    ['that is longer than those of the service', `ada_${'a'.repeat(300)}`],
    ['that is empty', ''],
    ['with NUL', 'ada_\0'],
  ])('is ignored if its key is one %s, which this service does not make', (_name, key) => {
    expect(hintedFiles(message(BUCKET, key), BUCKET)).toEqual([]);
  });

  it('names the file without its user if its key has only the hash of a user id', () => {
    const hashed = s3Key('a'.repeat(200), 'b.txt');
    expect(hintedFiles(message(BUCKET, hashed), BUCKET)).toEqual([{ userId: undefined, s3Key: hashed }]);
  });
});

describe('the key of a record', () => {
  it('may be escaped as a whole', () => {
    const [record] = (ofAmazonS3(BUCKET, '') as { Records: { s3: { object: { key: string } } }[] }).Records;
    if (record === undefined) throw new Error('no record');
    record.s3.object.key = [...Buffer.from(REF.s3Key)].map((byte) => `%${byte.toString(16)}`).join('');
    expect(hintedFiles({ Records: [record] }, BUCKET)).toEqual([REF]);
  });

  it('is not unescaped twice', () => {
    expect(hintedFiles(ofMinio(BUCKET, 'ada%5Fb.txt'), BUCKET)).toEqual([]);
  });

  it('is unescaped, and the key of an event of EventBridge is not', () => {
    expect(hintedFiles(ofCephRgw(BUCKET, 'ada%5Fb.txt'), BUCKET)).toEqual([
      { userId: 'ada', s3Key: 'ada_b.txt' },
    ]);
    expect(hintedFiles(ofEventBridge(BUCKET, 'ada%5Fb.txt'), BUCKET)).toEqual([]);
  });

  it.each(['%', '%zz', '%ff', '%u0041'])('%s is malformed, and its record is ignored', (key) => {
    expect(hintedFiles(ofCephRgw(BUCKET, `ada_${key}`), BUCKET)).toEqual([]);
  });
});

describe('a message with several records', () => {
  const record = (key: unknown) => ({ s3: { bucket: { name: BUCKET }, object: { key } } });

  it('names each file once, in any order', () => {
    const Records = ['ada_b', 'bob_a', 'ada_b', 'ada_a'].map(record);
    expect(hintedFiles({ Records }, BUCKET)?.map((file) => file.s3Key)).toEqual(['ada_b', 'bob_a', 'ada_a']);
  });

  it('names the files of its good records if others are malformed', () => {
    const malformed = [null, 7, 'ada_c', [], {}, { s3: null }, { s3: { bucket: { name: BUCKET } } }];
    const keys = [null, 7, {}, ['ada_d'], true].map(record);
    expect(hintedFiles({ Records: [...malformed, ...keys, record('ada_b')] }, BUCKET)).toEqual([
      { userId: 'ada', s3Key: 'ada_b' },
    ]);
  });

  it(`is refused if it has more than ${RECORDS_MAX} records`, () => {
    const records = (count: number) => Array.from({ length: count }, (_, index) => record(`ada_${index}`));
    expect(hintedFiles({ Records: records(RECORDS_MAX) }, BUCKET)).toHaveLength(RECORDS_MAX);
    expect(hintedFiles({ Records: records(RECORDS_MAX + 1) }, BUCKET)).toBeUndefined();
  });
});

it.each(Object.entries(TEST_MESSAGES))('the test message of %s is ignored', (_, message) => {
  expect(hintedFiles(message, BUCKET)).toEqual([]);
});

it.each([
  null,
  true,
  7,
  'Records',
  [],
  {},
  { Records: {} },
  { Records: 'ada_b' },
  { Records: [] },
  { detail: 1 },
  { detail: { bucket: BUCKET, object: 'ada_b' } },
  JSON.parse('{"__proto__": {"Records": [{"s3": {"bucket": {"name": "files"}, "object": {"key": "a_b"}}}]}}'),
])('%j is ignored', (message) => {
  expect(hintedFiles(message, BUCKET)).toEqual([]);
});
