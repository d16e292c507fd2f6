import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Code } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VARIABLES } from '../src/config/config.ts';
import { CODES } from '../src/rpc/errors.ts';
import { startTestService, type TestService } from './harness/service.ts';

const ROOT = resolve(import.meta.dirname, '..');
const readme = await readFile(join(ROOT, 'README.md'), 'utf8');

/** The text between `<!-- name -->` and `<!-- /name -->`. */
function section(name: string): string {
  return readme.split(`<!-- ${name} -->\n`)[1]?.split(`<!-- /${name} -->`)[0] ?? '';
}

/** The code blocks that stand behind a comment which begins so, with the rest of the comment. */
function blocks(comment: string): { about: string; code: string }[] {
  return [...readme.matchAll(/<!-- ([a-z]+)(?:: (.+?))? -->\n```[a-z]*\n([\s\S]*?)```/g)]
    .filter(([, kind]) => kind === comment)
    .map(([, , about = '', code = '']) => ({ about, code }));
}

describe('the tables', () => {
  it('of the configuration is that of src/config/config.ts', () => {
    const rows = Object.entries(VARIABLES).map(
      ([name, { default: fallback, desc }]) =>
        `| \`${name}\` | ${fallback === undefined ? '' : `\`${fallback}\``} | ${desc} |`,
    );
    expect(section('configuration')).toBe(
      ['| variable | default | meaning |', '|---|---|---|', ...rows, ''].join('\n'),
    );
  });

  it('of errors is that of src/rpc/errors.ts', () => {
    const written = [...section('errors').matchAll(/^\| `(\w+)` \| (.+) \|$/gm)].flatMap(
      ([, code, reasons = '']) => [...reasons.matchAll(/`(\w+)`/g)].map(([, reason]) => [reason, code]),
    );
    const actual = Object.entries(CODES).map(([reason, code]) => [reason, code]);
    const name = (code: unknown) => String(code).toUpperCase().replaceAll('_', '');
    expect(Object.fromEntries(written.map(([reason, code]) => [reason, name(code)]))).toEqual(
      Object.fromEntries(actual.map(([reason, code]) => [reason, name(Code[code as Code])])),
    );
  });
});

describe('what it quotes', () => {
  it.each(blocks('from'))('of $about is in there', async ({ about, code }) => {
    const lines = (text: string) =>
      text
        .split('\n')
        .map((line) => line.trim())
        .filter(Boolean)
        .join('\n');
    expect(lines(await readFile(join(ROOT, about), 'utf8'))).toContain(lines(code));
  });

  it.each([...readme.matchAll(/\]\(((?:src|test|proto)[^)]*)\)/g)].map(([, path = '']) => path))(
    'links to %s, which is there',
    async (path) => {
      await expect(stat(join(ROOT, path))).resolves.toBeDefined();
    },
  );
});

describe('the whole flow, pasted', () => {
  let service: TestService;
  let folder: string;
  beforeAll(async () => {
    service = await startTestService();
    // As in a clone, but what the flow writes stays out of this one.
    folder = await mkdtemp(join(tmpdir(), 'readme-'));
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  });
  afterAll(async () => {
    await service.stop();
    await rm(folder, { recursive: true });
  });

  it('is there, with three ways to call', () => {
    expect(blocks('call').map(({ about }) => about)).toEqual(['grpcurl', 'buf curl', 'curl']);
    expect(blocks('flow')).toHaveLength(1);
  });

  it.for(blocks('call'))('works with $about', async ({ about, code }, context) => {
    // grpcurl is not of npm; .ci/run has it.
    if (about === 'grpcurl' && !process.env.CI)
      await promisify(execFile)('grpcurl', ['-version']).catch(() => context.skip('no grpcurl on the PATH'));
    const [flow] = blocks('flow');
    const script = `set -e\n${code}\n${flow?.code}`
      .replaceAll('127.0.0.1:50051', new URL(service.grpcUrl).host)
      .replaceAll('127.0.0.1:8080', new URL(service.httpUrl).host);
    const { stdout } = await promisify(execFile)('bash', ['-c', script], { cwd: folder });
    const compact = stdout.replace(/\s+/g, '');
    const order = [
      '"type":"UPLOAD_TYPE_NEW"',
      '"files":[',
      '"state":"FILE_STATE_READY"',
      '"type":"UPLOAD_TYPE_EXISTING"',
      'hello,files',
      '{}{}',
    ].map((piece) => compact.indexOf(piece));
    expect(order).not.toContain(-1);
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(compact).toContain('"s3Key":"651eb6e11d156e0d7a42c59d_document');
  });
});
