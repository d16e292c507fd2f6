/** The documents: their code runs, their lists equal the code, and the paths that they name exist. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { USAGE } from '../src/cli/upload/arguments.ts';
import { SETTINGS } from '../src/config/config.ts';
import { CODES } from '../src/rpc/errors.ts';
import { bashScript } from './harness/bash-script.ts';
import { forAllTests } from './harness/for-all-tests.ts';
import { MEASURED_TABLES } from './harness/readme-table.ts';
import { startTestService } from './harness/service.ts';

const ROOT = resolve(import.meta.dirname, '..');

/**
 * The most lines that each document may have. Measured tables do not count: a run of the bench must not fail
 * this test.
 */
const LINES_MAX = {
  'README.md': 200,
  'proto/README.md': 150,
  'proto/CLIENTS.md': 150,
  'proto/EVENTS.md': 150,
  'src/README.md': 250,
  'src/cli/README.md': 100,
  'src/cli/RECONCILE.md': 100,
  'src/client/README.md': 100,
  'src/client/browser/README.md': 100,
  'src/doctor/README.md': 200,
  'src/events/README.md': 60,
  'src/hints/README.md': 80,
  'src/observability/README.md': 60,
  'src/overload/README.md': 60,
  'src/postgres/README.md': 60,
  'src/server/README.md': 60,
  'test/README.md': 200,
};
type DocumentPath = keyof typeof LINES_MAX;

const LINE_LENGTH_MAX = 120;

const texts = new Map<DocumentPath, string>();
for (const path of Object.keys(LINES_MAX) as DocumentPath[]) {
  texts.set(path, await readFile(join(ROOT, path), 'utf8'));
}
const documents = [...texts].map(([path, text]) => ({ path, text }));

function textOf(path: DocumentPath): string {
  return texts.get(path) ?? '';
}

/** The text between `<!-- name -->` and `<!-- /name -->`. Empty if one of the two is missing. */
function section(path: DocumentPath, name: string): string {
  const [, after = ''] = textOf(path).split(`<!-- ${name} -->\n`);
  const [inside = '', ...rest] = after.split(`<!-- /${name} -->`);
  return rest.length > 0 ? inside : '';
}

/** The code blocks that follow a comment `<!-- kind: about -->`. */
function blocks(text: string, kind: string): { about: string; code: string }[] {
  return [...text.matchAll(/<!-- ([a-z]+)(?:: (.+?))? -->\n```[a-z]*\n([\s\S]*?)```/g)]
    .filter(([, found]) => found === kind)
    .map(([, , about = '', code = '']) => ({ about, code }));
}

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, '');
}

describe('the tables', () => {
  it('README.md has the settings of src/config/settings', () => {
    const rows = SETTINGS.map(
      ({ variable, default: fallback, desc }) =>
        `| \`${variable}\` | ${fallback === undefined ? '' : `\`${fallback}\``} | ${desc} |`,
    );
    expect(section('README.md', 'configuration')).toBe(
      ['| variable | default | meaning |', '|---|---|---|', ...rows, ''].join('\n'),
    );
  });

  it('src/cli/README.md has the text of npm run upload -- --help', () => {
    const [usage] = blocks(textOf('src/cli/README.md'), 'usage');
    expect(usage?.code).toBe(`${USAGE.join('\n')}\n`);
  });

  it('src/observability/README.md names every metric, and no other', async () => {
    const folder = join(ROOT, 'src/observability');
    const sources = await Promise.all(
      (await readdir(folder)).map((name) => readFile(join(folder, name), 'utf8')),
    );
    const actual = sources.flatMap((source) => [...source.matchAll(/name: '(files_\w+)'/g)]);
    const named = textOf('src/observability/README.md').matchAll(/`(files_\w+)/g);
    const sorted = (matches: Iterable<RegExpMatchArray>) =>
      [...new Set([...matches].map(([, name]) => name))].sort();
    expect(actual.length).toBeGreaterThan(0);
    expect(sorted(named)).toEqual(sorted(actual));
  });

  it('proto/README.md has the errors of src/rpc/errors.ts', () => {
    const quoted = (text: string) => [...text.matchAll(/`(\w+)`/g)].map(([, name = '']) => name);
    const rows = section('proto/README.md', 'errors').matchAll(/^\| (`.+) \| (.+) \|$/gm);
    const written = [...rows].flatMap(([, codes = '', reasons = '']) => {
      const [code, ...others] = quoted(codes);
      // A row of several codes says that each has one reason of its own name.
      return others.length === 0
        ? quoted(reasons).map((reason) => [reason, code])
        : quoted(codes).map((name) => [name, name]);
    });
    const actual = Object.entries(CODES).map(([reason, code]) => [reason, status[code]]);
    expect(Object.fromEntries(written)).toEqual(Object.fromEntries(actual));
  });

  it.each(Object.entries(MEASURED_TABLES))('the measured table of %s has a place in %s', (name, path) => {
    expect(section(path, name)).not.toBe('');
  });
});

const quotes = documents.flatMap(({ path, text }) =>
  blocks(text, 'from').map(({ about, code }) => ({ path, about, code })),
);
it.each(quotes)('the quote of $about in $path equals that file', async ({ about, code }) => {
  const lines = (text: string) =>
    text
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean)
      .join('\n');
  expect(lines(await readFile(join(ROOT, about), 'utf8'))).toContain(lines(code));
});

it('proto/EVENTS.md quotes the consumers that test/interop runs', () => {
  const quoted = quotes.filter(({ path }) => path === 'proto/EVENTS.md').map(({ about }) => about);
  const consumers = ['go/file_events.go', 'express/main.js', 'typescript/src/main.ts'];
  expect(quoted).toEqual(expect.arrayContaining(consumers.map((path) => `test/interop/consumers/${path}`)));
});

/** The anchors of the headings, as GitHub makes them. */
function anchorsOf(text: string): string[] {
  return [...withoutCode(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

describe.each(documents)('$path', ({ path, text }) => {
  const prose = withoutCode(text);

  const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target));
  it.each([...new Set(links)])('links to %s, which exists', async (target) => {
    const [file = '', anchor] = target.split('#');
    const linked = file === '' ? join(ROOT, path) : resolve(ROOT, dirname(path), file);
    await expect(stat(linked)).resolves.toBeDefined();
    if (anchor !== undefined) expect(anchorsOf(await readFile(linked, 'utf8'))).toContain(anchor);
  });

  const paths = [...prose.matchAll(/`((?:src|test|proto|gen|\.ci)\/[\w./-]*)`/g)].map(
    ([, named = '']) => named,
  );
  it.runIf(paths.length > 0)('names paths from the root that exist', async () => {
    for (const named of paths) await expect(stat(join(ROOT, named)), named).resolves.toBeDefined();
  });

  it('stays within its number of lines and its line length', () => {
    // The changelog grows with the contract, and a table with each run.
    const [, changelog = ''] = text.split('\n## Contract changelog\n');
    const tables = Object.entries(MEASURED_TABLES).filter(([, document]) => document === path);
    const measured = tables.map(([name]) => section(path, name)).join('') + changelog;
    const lines = text.trimEnd().split('\n');
    expect(lines.length - measured.split('\n').length + 1).toBeLessThanOrEqual(LINES_MAX[path]);
    const long = lines.filter((line) => !line.startsWith('|') && line.length > LINE_LENGTH_MAX);
    expect(long).toEqual([]);
  });

  it('has no comment in a shell block, because zsh, the shell of macOS, runs a pasted comment', () => {
    const shellBlocks = [...text.matchAll(/^```bash\n([\s\S]*?)^```$/gm)].map(([, code = '']) => code);
    expect(shellBlocks.join('').match(/^.*(?<=^|\s)#.*$/gm)).toBeNull();
  });

  it('names each person and program, without an indefinite pronoun', () => {
    expect(text).not.toMatch(/\b(?:who|some|no|every)(?:ever|body)\b/i);
  });
});

describe('the flows, pasted into a shell', () => {
  const service = forAllTests(() => startTestService());
  let folder: string;
  beforeAll(async () => {
    // The folder looks like a clone. The flows write their files there and not into this repository.
    folder = await mkdtemp(join(tmpdir(), 'readme-'));
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function paste(...code: string[]): Promise<string> {
    const script = ['set -e', ...code]
      .join('\n')
      .replaceAll('127.0.0.1:50051', new URL(service.grpcUrl).host)
      .replaceAll('127.0.0.1:8080', new URL(service.httpUrl).host);
    const { stdout } = await promisify(execFile)('bash', bashScript(script), { cwd: folder });
    return stdout.replace(/\s+/g, '');
  }

  it('README.md uploads a file', async () => {
    const [upload] = blocks(textOf('README.md'), 'upload');
    const printed = await paste(upload?.code ?? '');
    expect(printed).toContain('"s3Key":"ada_hello.txt"');
    expect(printed).toContain('"state":"FILE_STATE_READY"');
  });

  const calls = blocks(textOf('proto/README.md'), 'call');
  const flows = blocks(textOf('proto/README.md'), 'flow');

  it('proto/README.md has three ways to call and three flows', () => {
    expect(calls.map(({ about }) => about)).toEqual(['grpcurl', 'buf curl', 'curl']);
    expect(flows.map(({ about }) => about)).toEqual(['single PUT', 'multipart', 'download']);
  });

  it.for(calls)('proto/README.md works with $about', async ({ about, code }, context) => {
    // grpcurl is not an npm package; .ci/run installs it.
    if (about === 'grpcurl' && !process.env.CI)
      await promisify(execFile)('grpcurl', ['-version']).catch(() => context.skip('no grpcurl on the PATH'));
    const printed = await paste(code, ...flows.map((flow) => flow.code));
    const order = [
      '"type":"UPLOAD_TYPE_NEW"',
      '"files":[',
      '"state":"FILE_STATE_READY"',
      '"type":"UPLOAD_TYPE_EXISTING"',
      '"s3Key":"651eb6e11d156e0d7a42c59d_film',
      'hello,files',
      '{}{}{}',
    ].map((piece) => printed.indexOf(piece));
    expect(order).not.toContain(-1);
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(printed).toContain('"s3Key":"651eb6e11d156e0d7a42c59d_document');
  });
});
