import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseDatabaseUrl } from '../../../src/config/database-url.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let ca: string;
const warnings: string[] = [];
const onWarning = ({ message }: Error) => warnings.push(message);
beforeAll(async () => {
  directory = await temporaryDirectory();
  ca = join(directory.path, 'ca.pem');
  writeFileSync(ca, 'a certificate');
  process.on('warning', onWarning);
});
afterAll(async () => {
  process.off('warning', onWarning);
  await directory[Symbol.asyncDispose]();
  expect(warnings).toEqual([]);
});

/** Parses the text, and returns the values with which `pg` would connect to each URL. */
const read = (text: string, tls = {}) =>
  parseDatabaseUrl(text, tls).urls.map((connectionString) => {
    const { user, password, host, port, database, ssl } = new pg.Client({ connectionString });
    return { user, password, host, port, database, ssl };
  });

const usual = { user: 'ada', password: 'secret', host: 'db', port: 5432, database: 'files', ssl: false };

describe('DATABASE_URL is read as pg reads it', () => {
  it.each<[string, Partial<typeof usual>]>([
    ['postgres://ada:secret@db/files', {}],
    ['postgresql://ada:secret@db:5433/files', { port: 5433 }],
    ['postgres://ada:secret@[::1]:5433/files', { host: '::1', port: 5433 }],
    ['postgres://db/files?user=ada&password=secret', {}],
    ['postgres://db/files?user=a@b&password=p@q', { user: 'a@b', password: 'p@q' }],
    ['postgres://ada:secret@/files?host=db&port=5433', { port: 5433 }],
    ['postgres://ada:secret@other/files?host=db', {}],
    [
      'postgres://ada:secret@/files?host=/cloudsql/project:region:db',
      { host: '/cloudsql/project:region:db' },
    ],
    ['postgres:///files?host=/run&user=ada&password=secret', { host: '/run' }],
    ['postgres://ada:secret@%2Fvar%2Frun%2Fpostgresql/files', { host: '/var/run/postgresql' }],
    ['postgres://ada:secret@%2Frun:5433/files', { host: '/run', port: 5433 }],
    ['socket://ada:secret@/run?db=files', { host: '/run' }],
    ['postgres://ada:se%20cret%2F%23@db/my%20files', { password: 'se cret/#', database: 'my files' }],
  ])('%s', (text, expected) => {
    expect(read(text)).toEqual([{ ...usual, ...expected }]);
  });

  it.each(['p/q', 'p#q', 'p?q', 'p@q', '12/x', '12#x', '12?x', 'p:q', 'p%q', 'p+q', '/', '#', 'a/b?c#d@e:f'])(
    'with the password %s as it is',
    (password) => {
      expect(read(`postgres://ada:${password}@db/files?application_name=x`)).toEqual([
        { ...usual, password },
      ]);
      expect(read(`postgres://ada:${encodeURIComponent(password)}@db:5432/files`)).toEqual([
        { ...usual, password },
      ]);
    },
  );

  it('and tells whether it has a password', () => {
    expect(parseDatabaseUrl('postgres://ada:secret@db/files').hasPassword).toBe(true);
    expect(parseDatabaseUrl('postgres://db/files?password=secret').hasPassword).toBe(true);
    expect(parseDatabaseUrl('postgres://ada@db/files').hasPassword).toBe(false);
  });
});

describe('several hosts', () => {
  it.each([
    'postgres://ada:secret@one,two:5433/files',
    'postgres://ada:secret@/files?host=one,two&port=5432,5433',
    'postgres://ada:secret@one:5432,two:5433/files?target_session_attrs=read-write',
  ])('are separated by commas: %s', (text) => {
    expect(read(text)).toEqual([
      { ...usual, host: 'one' },
      { ...usual, host: 'two', port: 5433 },
    ]);
    expect(parseDatabaseUrl(text).mustBeWritable).toBe(true);
  });

  it('take any server only with target_session_attrs=any, and a single host only a writable one with read-write', () => {
    const mustBeWritable = (text: string) => parseDatabaseUrl(text).mustBeWritable;
    expect(mustBeWritable('postgres://one,two/files?target_session_attrs=any')).toBe(false);
    expect(mustBeWritable('postgres://one/files')).toBe(false);
    expect(mustBeWritable('postgres://one/files?target_session_attrs=primary')).toBe(true);
  });
});

describe('TLS', () => {
  const tls = (query: string, variables = {}) => {
    const ssl: unknown = read(`postgres://db/files${query}`, variables)[0]?.ssl;
    if (typeof ssl !== 'object' || ssl === null) return ssl;
    const { ca: authority, rejectUnauthorized = true, checkServerIdentity } = ssl as Record<string, unknown>;
    return {
      ...(authority !== undefined && { authority }),
      verifies: rejectUnauthorized
        ? checkServerIdentity === undefined
          ? 'chain and name'
          : 'chain'
        : 'nothing',
    };
  };
  const file = { authority: 'a certificate' };
  const full = { verifies: 'chain and name' };

  it.each<[string, Record<string, string>, unknown]>([
    ['', {}, false],
    ['?sslmode=disable', { sslMode: 'verify-full' }, false],
    ['?ssl=false', { sslMode: 'verify-full' }, false],
    ['?ssl=true', {}, true],
    ['?sslmode=require', {}, full],
    ['?sslmode=prefer', {}, full],
    ['?sslmode=verify-ca', {}, full],
    ['?sslmode=verify-full', {}, full],
    ['?sslmode=no-verify', {}, { verifies: 'nothing' }],
    ['?sslmode=require&uselibpqcompat=true', {}, { verifies: 'nothing' }],
    ['?sslmode=verify-full&sslrootcert=system', {}, full],
    ['', { sslMode: 'require' }, full],
    ['', { sslMode: 'disable' }, false],
    ['?host=/run', { sslMode: 'require' }, false],
  ])('%s with %o', (query, variables, expected) => {
    expect(tls(query, variables)).toEqual(expected);
  });

  it('reads the authorities from sslrootcert or PGSSLROOTCERT', () => {
    expect(tls(`?sslrootcert=${ca}`)).toEqual({ ...file, ...full });
    expect(tls(`?sslmode=verify-full&sslrootcert=${ca}`)).toEqual({ ...file, ...full });
    expect(tls('?sslmode=require', { sslRootCert: ca })).toEqual({ ...file, ...full });
    expect(tls('', { sslRootCert: ca })).toEqual({ ...file, ...full });
    expect(tls('?sslmode=disable', { sslRootCert: ca })).toBe(false);
    expect(tls('?sslmode=verify-ca', { sslRootCert: ca })).toEqual({ ...file, verifies: 'chain' });
  });
});

describe('is refused with the rule and without the value', () => {
  it.each<[string, RegExp]>([
    ['mysql://ada:hunter2@db/files', /^must begin with postgres:\/\/ or postgresql:\/\/$/],
    ['host=db dbname=files password=hunter2', /^must begin with postgres:/],
    ['postgres://ada:hunter2@db:70000/files', /port that is not a whole number from 1 to 65535/],
    ['postgres://ada:hunter2@db:x/files', /must have the form postgres:.*%XX/],
    ['postgres://ada:hunter2@db/files/more', /must have the form/],
    ['postgres://ada:hunter2@one,,two/files', /empty host/],
    ['postgres://ada:hunter2@/files?host=a,b,c&port=1,2', /3 hosts and 2 ports/],
    [
      'postgres://ada:hunter2@db/files?target_session_attrs=standby',
      /any, read-write, primary: the service writes/,
    ],
    ['postgres://ada:hunter2@db/files?sslmode=on', /sslmode=on, which is not one of disable, /],
  ])('%s', (text, rule) => {
    expect(() => parseDatabaseUrl(text)).toThrow(rule);
    expect(() => parseDatabaseUrl(text)).not.toThrow(/hunter2/);
  });

  it('a PGSSLMODE that does not exist', () => {
    expect(() => parseDatabaseUrl('postgres://db/files', { sslMode: 'yes' })).toThrow(/has PGSSLMODE=yes/);
  });
});
