import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test, vi } from 'vitest';
import { welcome } from '../../src/dev/welcome.ts';
import { bashScript } from '../harness/bash-script.ts';
import { createAuthority, type Pair, selfSigned } from '../harness/certificates.ts';
import { launchService, PROJECT, startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { missingPrograms } from '../interop/toolchain.ts';

/** The tests start the service with its own Postgres: seconds on an idle machine, more on a busy machine. */
vi.setConfig({ testTimeout: 120_000 });

const run = promisify(execFile);

test.for<[string, Record<string, string>]>([
  ['default settings', {}],
  [
    'other settings',
    {
      GATEWAY_AUTH: 'token',
      GATEWAY_TOKENS: 'a-token-for-development,x-another-token-too',
      USER_ID_HEADER: 'x-account',
    },
  ],
])('a start with %s prints commands that upload and list a file when pasted', async ([, settings]) => {
  await using directory = await temporaryDirectory();
  await using service = await startService({
    environment: { DATA_DIR: join(directory.path, 'data'), ...settings },
  });
  await expect.poll(() => service.printed.stdout).toContain('Ctrl-C stops everything');

  const script = bashScript(`set -e\n${pasteable(service.printed.stdout)}`);
  const options = { cwd: directory.path, env: { ...process.env, ...settings } };
  const first = (await run('bash', script, options)).stdout;
  expect(JSON.parse(first)).toMatchObject({
    files: [{ s3Key: '651eb6e11d156e0d7a42c59d_hello.txt', filename: 'hello.txt', size: '15' }],
  });
  expect(first.endsWith('\n'), 'the prompt of the shell begins a line').toBe(true);
  // Each paste uploads new content: the service gives no URL for content that S3 has.
  const second = JSON.parse((await run('bash', script, options)).stdout);
  expect(second.files).toHaveLength(2);
  await service.stop();
});

test.for([
  ['127.0.0.1', '127.0.0.1'],
  ['0.0.0.0', '127.0.0.1'],
  ['::', '[::1]'],
  ['::1', '[::1]'],
  ['localhost', 'localhost'],
])('the welcome of a service on %s names %s', ([host = '', asked]) => {
  const text = welcome({
    host,
    grpcPort: 1,
    httpPort: 2,
    userIdHeader: 'x-user-id',
    gateway: { kind: 'none' },
    certificate: undefined,
  });
  expect(text).toContain(`curl -s http://${asked}:2/files.v1.FileService/ListFiles`);
  expect(text).toContain(` ${asked}:1 files.v1.FileService/ListFiles`);
});

test.for<[string, string, Record<string, string>]>([
  ['a self-signed certificate', 'self-signed', {}],
  ['an authority', 'authority', {}],
  ['mTLS', 'authority', { GATEWAY_AUTH: 'mtls', TLS_ALLOWED_SANS: 'gateway.internal' }],
])(
  'a start with TLS and %s prints commands that upload and list a file when pasted',
  async ([, kind, settings]) => {
    await using directory = await temporaryDirectory();
    const file = (name: string) => join(directory.path, name);
    const authority = await createAuthority();
    const server = { names: ['localhost'], use: 'server' as const };
    const pair = kind === 'self-signed' ? await selfSigned(server) : await authority.issue(server);
    const gateway = await authority.issue({ names: ['gateway.internal'] });
    await writePems(directory.path, { pair, gateway, authority: authority.cert });
    const isMutual = settings.GATEWAY_AUTH === 'mtls';
    await using service = launchService({
      environment: {
        DATA_DIR: file('data'),
        TLS_CERT_FILE: file('pair.crt'),
        TLS_KEY_FILE: file('pair.key'),
        ...(isMutual && { TLS_CLIENT_CA_FILE: file('ca.crt') }),
        ...settings,
      },
    });
    await expect.poll(() => service.printed.stdout, { timeout: 30_000 }).toContain('Ctrl-C stops everything');
    const { stdout } = service.printed;

    // The steps that the text asks for.
    expect(stdout.includes('Set CA to the file of the authority')).toBe(kind === 'authority');
    expect(stdout.includes('Set CERT and KEY to the files of a gateway')).toBe(isMutual);
    const env = {
      ...process.env,
      // The upload keeps its MD5s here, and not in the cache of the person who runs the tests.
      XDG_CACHE_HOME: file('cache'),
      ...(kind === 'authority' && { CA: file('ca.crt') }),
      ...(isMutual && { CERT: file('gateway.crt'), KEY: file('gateway.key') }),
    };
    const commands = pasteable(stdout);
    const paste = async (command: string) =>
      (await run('bash', bashScript(`set -e\n${command}`), { cwd: directory.path, env })).stdout;
    expect(JSON.parse(await paste(commands))).toMatchObject({ files: [{ filename: 'hello.txt' }] });

    const authorityLine = commands.split('\n').find((line) => line.startsWith('CA=')) ?? '';
    const [, grpcurl = ''] = /With gRPC: {2}(.*)/.exec(stdout) ?? [];
    if ((await missingPrograms('grpcurl')) === undefined) {
      expect(await paste(`${authorityLine}\n${grpcurl}`)).toContain('"filename": "hello.txt"');
    }
    const [, upload = ''] = /with a progress bar: {2}(.*)/.exec(stdout) ?? [];
    if (isMutual) expect(upload).toBe('npm run upload cannot, because it shows no certificate');
    else {
      const main = `'${process.execPath}' '${join(PROJECT, 'src/main.ts')}' upload`;
      const command = upload.replace('npm run upload --', main).replace('PATH…', "'ca.crt'");
      expect(await paste(`${authorityLine}\n${command}`)).toContain('ca.crt');
    }
    service.kill('SIGINT');
    await service.untilGone();
  },
);

test.for([
  [['127.0.0.1', 'localhost'], '127.0.0.1', undefined],
  [['localhost'], 'localhost', undefined],
  [['files.internal'], 'files.internal', 'The certificate is for files.internal: let this name lead to'],
  [['*.internal'], '127.0.0.1', 'Clients refuse the certificate, because it is not for 127.0.0.1.'],
] as const)('with a certificate for %s, the commands name %s', async ([names, host, step]) => {
  const { cert: pem } = await selfSigned({ names, use: 'server' });
  const text = welcome({
    host: '127.0.0.1',
    grpcPort: 1,
    httpPort: 2,
    userIdHeader: 'x-user-id',
    gateway: { kind: 'none' },
    certificate: { path: "/it's/tls.crt", pem },
  });
  expect(text).toContain(` https://${host}:2/files.v1.FileService/ListFiles`);
  expect(text).toContain(` ${host}:1 files.v1.FileService/ListFiles`);
  expect(text).toContain(`\nCA='/it'\\''s/tls.crt'\n`);
  if (step === undefined) expect(text).not.toContain('certificate is');
  else expect(text).toContain(step);
});

async function writePems(
  directory: string,
  { pair, gateway, authority }: { pair: Pair; gateway: Pair; authority: string },
): Promise<void> {
  const files = {
    'pair.crt': pair.cert,
    'pair.key': pair.key,
    'gateway.crt': gateway.cert,
    'gateway.key': gateway.key,
    'ca.crt': authority,
  };
  for (const [name, pem] of Object.entries(files)) await writeFile(join(directory, name), pem);
}

/**
 * The commands of the output: the lines without indentation, and their continuations. Prose is indented; the
 * log is JSON.
 */
function pasteable(stdout: string): string {
  const lines = stdout.split('\n').filter((line) => !line.startsWith('{'));
  return lines.filter((line, index) => /^\S/.test(line) || lines[index - 1]?.endsWith('\\')).join('\n');
}
