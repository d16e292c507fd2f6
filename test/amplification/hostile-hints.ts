import { gzipSync } from 'node:zlib';
import { HINTS_TOKEN } from './service.ts';

/** A message to `POST /storage-events`, and the answer that it must get. */
export interface HostileHint {
  readonly name: string;
  readonly body: Buffer;
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
}

const MIB = 1024 * 1024;

/** The headers of a sender with the right token. */
export const SENDER: Readonly<Record<string, string>> = {
  authorization: `Bearer ${HINTS_TOKEN}`,
  'content-type': 'application/json',
};

const record = (bucket: string, key: unknown) => ({ s3: { bucket: { name: bucket }, object: { key } } });
const escapedAsAWhole = (key: string) =>
  [...Buffer.from(key)].map((byte) => `%${byte.toString(16)}`).join('');

/**
 * @param keys of pending, READY and deleted files of several users
 */
export function hostileHints(bucket: string, keys: readonly string[]): HostileHint[] {
  const many = <Item>(count: number, item: (index: number) => Item) =>
    Array.from({ length: count }, (_, index) => item(index));
  const key = (index: number) => keys[index % keys.length] as string;
  const json = (name: string, status: number, message: unknown): HostileHint => ({
    name,
    status,
    body: Buffer.from(JSON.stringify(message)),
  });
  const raw = (name: string, status: number, text: string): HostileHint => ({
    name,
    status,
    body: Buffer.from(text),
  });
  const records = (name: string, status: number, count: number, item: (index: number) => unknown) =>
    json(name, status, { Records: many(count, item) });
  const padded = (text: string, bytes: number) => `${text}${' '.repeat(bytes - text.length)}`;
  return [
    records('1,000 records of all files, each several times', 204, 1_000, (at) => record(bucket, key(at))),
    records('1,000 records of all files in reverse', 204, 1_000, (at) => record(bucket, key(1_000 - at))),
    records('1,000 escaped keys', 204, 1_000, (at) => record(bucket, escapedAsAWhole(key(at)))),
    records('another bucket', 204, 1_000, (at) => record(`${bucket}-other`, key(at))),
    records('keys of another program', 204, 1_000, (at) => record(bucket, `backups/${at}.tar.gz`)),
    records('files that do not exist', 204, 1_000, (at) => record(bucket, `user-${at}_a.txt`)),
    records('files that do not exist, of users with long ids', 204, 1_000, (at) =>
      record(bucket, `.sha256-${'0'.repeat(64)}_${at}.txt`),
    ),
    records('keys with much to unescape in the user', 204, 1_000, (at) =>
      record(bucket, `${'.41'.repeat(70)}${at}_a`),
    ),
    records('keys that are almost right', 204, 1_000, () => record(bucket, `${'a'.repeat(238)}!`)),
    records('malformed escapes', 204, 1_000, () => record(bucket, `ada_${'%E2%82'.repeat(80)}`)),
    records('keys of 900 escapes that are too long', 204, 300, () => record(bucket, '%41'.repeat(900))),
    records('members of other types', 204, 1_000, (at) => [record(bucket, at), { s3: [[]] }, null][at % 3]),
    records('10,000 records', 413, 10_000, (at) => record(bucket, key(at))),
    raw('1 MiB of white space', 204, padded('{}', MIB)),
    raw('10 MB', 413, padded('{}', 10e6)),
    raw('one key of 1 MiB', 204, JSON.stringify({ Records: [record(bucket, 'a'.repeat(MIB - 100))] })),
    raw('a number of 1 MiB', 204, `{"Records":${'9'.repeat(MIB - 20)}}`),
    raw('40,000 brackets in each other', 204, '['.repeat(20_000) + ']'.repeat(20_000)),
    raw('500,000 brackets', 413, '['.repeat(MIB / 2) + ']'.repeat(MIB / 2)),
    raw('19,000 objects with different members', 204, `[${many(19_000, (at) => `{"a${at}":1}`).join()}]`),
    raw('39,000 members', 204, `{${many(39_000, (at) => `"k${at}":1`).join()}}`),
    raw(
      '39,000 members with numbers as names',
      204,
      `{${many(39_000, (at) => `"${at * 65_536}":1`).join()}}`,
    ),
    raw('a prototype', 204, `{"__proto__":{"Records":[${JSON.stringify(record(bucket, key(0)))}]}}`),
    raw('no JSON', 400, '{"Records":['),
    raw('nothing', 400, ''),
    {
      name: '64 MiB in 64 KiB of gzip',
      status: 415,
      body: gzipSync(Buffer.alloc(64 * MIB, ' ')),
      headers: { 'content-encoding': 'gzip' },
    },
  ];
}
