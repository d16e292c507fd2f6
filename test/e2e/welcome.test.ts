import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test, vi } from 'vitest';
import { welcome } from '../../src/dev/welcome.ts';
import { bashScript } from '../harness/bash-script.ts';
import { startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

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
  });
  expect(text).toContain(`curl -s http://${asked}:2/files.v1.FileService/ListFiles`);
  expect(text).toContain(` ${asked}:1 files.v1.FileService/ListFiles`);
});

/**
 * The commands of the output: the lines without indentation, and their continuations. Prose is indented; the
 * log is JSON.
 */
function pasteable(stdout: string): string {
  const lines = stdout.split('\n').filter((line) => !line.startsWith('{'));
  return lines.filter((line, index) => /^\S/.test(line) || lines[index - 1]?.endsWith('\\')).join('\n');
}
