import { expect, test, vi } from 'vitest';
import { SETTINGS } from '../../src/config/config.ts';
import { hostileText, UNPRINTABLE } from '../harness/captured-terminal.ts';
import { main } from './main.ts';

vi.setConfig({ testTimeout: 60_000 });

test('the start names all problems at once, and shows no value that may be a secret', async () => {
  const { code, stdout, stderr } = await main('serve', {
    DATABASE_URL: 'mysql://files:hunter2-hunter2@db/files',
    GATEWAY_TOKENS: 'short-secret',
    GRPC_PORT: '70000',
    S3_BUCKET: 'NOT A BUCKET',
    S3_ENDPOINT: 'ftp://key:hunter3-hunter3@store',
    LOG_LEVEL: 'loud',
  });
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr.split('\n').map((line) => line.trim().split(' ')[0])).toEqual(
    expect.arrayContaining([
      'DATABASE_URL',
      'GATEWAY_TOKENS',
      'GRPC_PORT',
      'S3_BUCKET',
      'S3_ENDPOINT',
      'LOG_LEVEL',
    ]),
  );
  expect(stderr).not.toMatch(/hunter|short-secret/);
  expect(stderr, 'no stack').not.toContain('    at ');
});

test.for<[string, Record<string, string>, RegExp]>([
  [
    'any host can reach it and GATEWAY_AUTH is none',
    { GATEWAY_AUTH: 'none', HOST: '0.0.0.0' },
    /HOST .*loopback.*0\.0\.0\.0.*any user.*GATEWAY_AUTH to token or mtls/,
  ],
  ['any IPv6 host can reach it and GATEWAY_AUTH is none', { HOST: '::' }, /HOST .*loopback.*::/],
  [
    'HOST is a host name and GATEWAY_AUTH is none',
    { HOST: 'files.internal' },
    /HOST .*loopback.*files\.internal/,
  ],
  [
    'DATABASE_URL is set without S3_BUCKET',
    { DATABASE_URL: 'postgres://db/files' },
    /S3_BUCKET is required with DATABASE_URL/,
  ],
  [
    'the password is in DATABASE_URL and in a file',
    {
      DATABASE_URL: 'postgres://files:hunter2@db/files',
      DATABASE_PASSWORD_FILE: '/run/password',
      S3_BUCKET: 'files',
    },
    /DATABASE_URL must have no password with DATABASE_PASSWORD_FILE, because one of the two would be ignored/,
  ],
  [
    'the password is in a file and there is no DATABASE_URL',
    { DATABASE_PASSWORD_FILE: '/run/password' },
    /DATABASE_PASSWORD_FILE does nothing without DATABASE_URL/,
  ],
  [
    'a host of DATABASE_URL has a port that does not exist',
    { DATABASE_URL: 'postgres://files:hunter2@one:5432,two:70000/files', S3_BUCKET: 'files' },
    /DATABASE_URL has a port that is not a whole number from 1 to 65535/,
  ],
  [
    'S3_BUCKET is set without DATABASE_URL',
    { S3_BUCKET: 'files' },
    /DATABASE_URL is required with S3_BUCKET/,
  ],
  ['GATEWAY_AUTH is token without GATEWAY_TOKENS', { GATEWAY_AUTH: 'token' }, /GATEWAY_TOKENS is required/],
  [
    'GATEWAY_TOKENS is set without GATEWAY_AUTH=token',
    { GATEWAY_TOKENS: 'a-token-of-the-gateway' },
    /GATEWAY_TOKENS does nothing without GATEWAY_AUTH=token/,
  ],
  [
    'GATEWAY_AUTH is mtls without certificates',
    { GATEWAY_AUTH: 'mtls' },
    /TLS_CERT_FILE is.*\n.*TLS_KEY_FILE is.*\n.*TLS_CLIENT_CA_FILE is.*\n.*TLS_ALLOWED_SANS is/,
  ],
  [
    'TLS_CERT_FILE is set without TLS_KEY_FILE',
    { TLS_CERT_FILE: 'a' },
    /TLS_KEY_FILE is required with TLS_CERT_FILE/,
  ],
  [
    'TLS_KEY_FILE is set without TLS_CERT_FILE',
    { TLS_KEY_FILE: 'a' },
    /TLS_CERT_FILE is required with TLS_KEY_FILE/,
  ],
  [
    'client certificates are configured without GATEWAY_AUTH=mtls',
    { TLS_CLIENT_CA_FILE: 'a', TLS_ALLOWED_SANS: 'a' },
    /TLS_CLIENT_CA_FILE does nothing without.*\n.*TLS_ALLOWED_SANS does nothing without GATEWAY_AUTH=mtls/,
  ],
  [
    'TLS_ALLOWED_SANS has a wildcard',
    { TLS_ALLOWED_SANS: '*.internal' },
    /TLS_ALLOWED_SANS must be .*wildcard/,
  ],
])('the service refuses to start when %s', async ([, environment, message]) => {
  const { code, stderr } = await main('serve', environment);
  expect(code).toBe(1);
  expect(stderr).toMatch(message);
});

test('the error escapes the terminal sequences of a value', async () => {
  const { code, stderr } = await main('serve', { HOST: hostileText('serving') });
  expect(code).toBe(1);
  expect(stderr).toMatch(/HOST must be a loopback address .*\\u001b\[2J/);
  expect(stderr).not.toMatch(UNPRINTABLE);
  expect(stderr.split('\n')).not.toContain('serving');
});

test('an unknown command prints the usage and ends with code 2', async () => {
  const { code, stdout, stderr } = await main('sevre');
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  for (const command of ['serve', 'migrate', 'config'])
    expect(stderr).toMatch(new RegExp(`^ +${command} `, 'm'));
});

test.each(['--help', '-h'])('%s prints the commands to stdout', async (option) => {
  const { code, stdout, stderr } = await main(option);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^ +upload +upload files and directories/m);
});

/** Each variable has a value that the service refuses. */
const WRONG = Object.fromEntries(SETTINGS.map(({ variable }) => [variable, ' ']));

test.each(['upload', 'reconcile', 'doctor', 'events'])(
  '%s --help prints its usage to stdout, even if every variable is wrong',
  async (command) => {
    const { code, stdout, stderr } = await main(command, WRONG, ['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`usage: npm run ${command} -- `);
  },
);

test('upload is not stopped by settings that do not concern a client', async () => {
  const wrong = { EVENTS_TOKEN: 'short', S3_BUCKET: 'NOT A BUCKET' };
  const { code, stderr } = await main('upload', wrong, ['--dry-run', import.meta.filename]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});

test('upload names the problems of settings that concern a client', async () => {
  const wrong = { HTTP_PORT: '70000', GATEWAY_TOKENS: 'short' };
  const { code, stderr } = await main('upload', wrong, [import.meta.filename]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/HTTP_PORT must be/);
  expect(stderr).toMatch(/GATEWAY_TOKENS must be/);
});

test('a command without arguments does not run when it is given some', async () => {
  const asked = await main('config', {}, ['--help']);
  expect({ ...asked, stdout: '' }).toEqual({ code: 0, stdout: '', stderr: '' });
  expect(asked.stdout).toMatch(/^usage: /);
  const refused = await main('config', {}, ['GRPC_PORT']);
  expect(refused).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('takes no arguments'),
  });
});

test('the command config prints every variable, with its default and its meaning', async () => {
  const { code, stdout } = await main('config', { GRPC_PORT: 'even when one is wrong' });
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.map((line) => line.split(' ')[0])).toEqual(SETTINGS.map(({ variable }) => variable));
  expect(lines.find((line) => line.startsWith('GRPC_PORT '))).toMatch(/ 50051 .*gRPC/);
});

test('every default keeps the rule of its setting', () => {
  const given = SETTINGS.filter((setting) => setting.default !== undefined);
  expect(given.length).toBeGreaterThan(20);
  const problems = given.map(({ variable, default: fallback, problem }) => [
    variable,
    problem(String(fallback)),
  ]);
  expect(problems.filter(([, problem]) => problem !== undefined)).toEqual([]);
});

test('the command migrate requires DATABASE_URL', async () => {
  const { code, stderr } = await main('migrate');
  expect(code).toBe(1);
  expect(stderr).toContain('DATABASE_URL is required');
});
