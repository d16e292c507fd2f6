import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test, vi } from 'vitest';
import { startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

/** Real starts, each with an initdb: seconds on an idle machine, more on a busy one. */
vi.setConfig({ testTimeout: 120_000 });

const run = promisify(execFile);

test('a start with nothing at all ends with commands that upload and list a file when pasted', async () => {
  await using directory = await temporaryDirectory();
  await using service = await startService({ environment: { DATA_DIR: join(directory.path, 'data') } });
  await expect.poll(() => service.printed.stdout).toContain('Ctrl-C stops everything');

  const { stdout } = await run('bash', ['-c', pasteable(service.printed.stdout)], { cwd: directory.path });
  expect(JSON.parse(stdout)).toMatchObject({
    files: [{ s3Key: '651eb6e11d156e0d7a42c59d_hello.txt', filename: 'hello.txt', size: '6' }],
  });
  await service.stop();
});

/** The lines that begin at the margin, with what continues them; prose is indented, the log is JSON. */
function pasteable(stdout: string): string {
  const lines = stdout.split('\n').filter((line) => !line.startsWith('{'));
  return lines.filter((line, index) => /^\S/.test(line) || lines[index - 1]?.endsWith('\\')).join('\n');
}
