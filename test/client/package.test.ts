import { execFile } from 'node:child_process';
import { copyFile, cp, readFile, symlink, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { startTestService } from '../harness/service.ts';
import { PROJECT } from '../harness/service-process.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../harness/temporary-directory.ts';

const service = forAllTests(() => startTestService());

/** The project of a caller: empty, with the tarball installed. */
let project: TemporaryDirectory;

/**
 * With npm's cache, which `npm ci` has filled, the installation takes seconds. Without it, the network
 * decides.
 */
const INSTALL_TIMEOUT_MS = 120_000;

// npm runs on the first Node of the PATH, which must be the Node of this test.
const PATH = `${dirname(process.execPath)}${delimiter}${process.env.PATH}`;
const run = (program: string, args: string[], cwd: string) =>
  promisify(execFile)(program, args, { cwd, env: { ...process.env, PATH, NO_COLOR: '1' } });

beforeAll(async () => {
  project = await temporaryDirectory();
  // Packed from a copy, so that the build output of packing does not stay in this checkout.
  const copy = join(project.path, 'checkout');
  for (const name of ['gen', 'src/client', 'package.json', 'tsconfig.json']) {
    const filter = (source: string) => !source.includes('/.dist');
    await cp(join(PROJECT, name), join(copy, name), { recursive: true, filter });
  }
  await symlink(join(PROJECT, 'node_modules'), join(copy, 'node_modules'));
  const { stdout } = await run(
    'npm',
    ['pack', '--silent', '--pack-destination', project.path],
    join(copy, 'src/client'),
  );
  const { devDependencies, dependencies } = JSON.parse(await readFile(join(PROJECT, 'package.json'), 'utf8'));
  await writeFile(join(project.path, 'package.json'), JSON.stringify({ type: 'module' }));
  const packages = [
    `./${stdout.trim()}`,
    `@connectrpc/connect-node@${dependencies['@connectrpc/connect-node']}`,
    `@types/node@${devDependencies['@types/node']}`,
  ];
  await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', ...packages], project.path);
}, INSTALL_TIMEOUT_MS);
afterAll(async () => {
  await project[Symbol.asyncDispose]();
});

describe('the package of the client, installed by a caller', () => {
  it('brings nothing of the service with it', async () => {
    const { packages } = JSON.parse(await readFile(join(project.path, 'package-lock.json'), 'utf8'));
    expect(
      Object.keys(packages).filter(
        (path) => path !== '' && !path.includes('@types') && !path.includes('undici'),
      ),
    ).toEqual([
      'node_modules/@bufbuild/protobuf',
      'node_modules/@connectrpc/connect',
      'node_modules/@connectrpc/connect-node',
      'node_modules/file-service-client',
    ]);
  });

  it('runs the example of the README, from JavaScript', async () => {
    await copyFile(join(import.meta.dirname, 'example.js'), join(project.path, 'example.js'));
    const example = await readFile(join(project.path, 'example.js'), 'utf8');
    await writeFile(
      join(project.path, 'example.js'),
      example.replace('http://127.0.0.1:50051', service.grpcUrl),
    );
    await writeFile(join(project.path, 'film.mp4'), 'a short film');
    const first = await run(process.execPath, ['example.js'], project.path);
    expect(first.stdout).toMatch(
      /^hashing 0 of 12\nsending 0 of 12\n(?:.*\n)*done 12 of 12\nuploaded: 651eb6e11d156e0d7a42c59d_film.mp4\n$/,
    );
    const second = await run(process.execPath, ['example.js'], project.path);
    expect(second.stdout).toMatch(/was there already: 651eb6e11d156e0d7a42c59d_film.mp4\n$/);
  });

  it('has types that compile in the strictest mode', async () => {
    await writeFile(
      join(project.path, 'typed.ts'),
      `import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { FileService, type UploadResult, uploadFile } from 'file-service-client';

const files = createClient(FileService, createGrpcTransport({ baseUrl: 'http://127.0.0.1:1' }));
export const result: UploadResult = await uploadFile(files, 'a', { onProgress: (p) => p.bytesSent.toFixed() });
export const size: bigint = result.file.size;
// @ts-expect-error: a number is not a source
await uploadFile(files, 3);
`,
    );
    const flags = [
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      'false',
      '--module',
      'nodenext',
      '--target',
      'es2024',
    ];
    await run(
      join(PROJECT, 'node_modules/.bin/tsc'),
      [...flags, '--types', 'node', 'typed.ts'],
      project.path,
    );
  });

  it('contains its README', async () => {
    const packed = await readFile(join(project.path, 'node_modules/file-service-client/README.md'), 'utf8');
    expect(packed).toBe(await readFile(join(PROJECT, 'src/client/README.md'), 'utf8'));
  });
});
