import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { startTestService } from '../harness/service.ts';
import { PROJECT } from '../harness/service-process.ts';
import { INSTALL_TIMEOUT_MS, installClient, runProgram } from './installed-package.ts';

const service = forAllTests(() => startTestService());

const project = forAllTests(
  () => installClient('@connectrpc/connect-node', '@types/node'),
  INSTALL_TIMEOUT_MS,
);

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
      'node_modules/hash-wasm',
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
    const first = await runProgram(process.execPath, ['example.js'], project.path);
    expect(first.stdout).toMatch(
      /^hashing 0 of 12\nsending 0 of 12\n(?:.*\n)*done 12 of 12\nuploaded: 651eb6e11d156e0d7a42c59d_film.mp4\n$/,
    );
    const second = await runProgram(process.execPath, ['example.js'], project.path);
    expect(second.stdout).toMatch(/was there already: 651eb6e11d156e0d7a42c59d_film.mp4\n$/);
  });

  it('hashes on threads, whose file it contains', async () => {
    await writeFile(
      join(project.path, 'hash.js'),
      `
      import { open } from 'node:fs/promises';
      import { md5sOnThreads } from './node_modules/file-service-client/.dist/src/client/node/md5.js';
      const handle = await open('package.json');
      const { dev, ino } = await handle.stat({ bigint: true });
      const read = () => { throw new Error('the main thread reads the file'); };
      const options = { signal: new AbortController().signal, onHashed: () => {} };
      await md5sOnThreads({ fd: handle.fd, dev, ino }, read, [{ start: 0, end: 1 }], options);
      await handle.close();
    `,
    );
    await runProgram(process.execPath, ['hash.js'], project.path);
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
    await compile('typed.ts', ['--module', 'nodenext', '--types', 'node']);
  });

  it.each([
    ['the condition `browser`', 'file-service-client', ['--customConditions', 'browser']],
    ['its own entry', 'file-service-client/browser', []],
  ])('has types for browsers, without those of Node, under %s', async (_, entry, flags) => {
    await writeFile(
      join(project.path, 'browser.ts'),
      `import { createClient, type Transport } from '@connectrpc/connect';
import { FileService, md5Of, uploadFile } from '${entry}';

const files = createClient(FileService, {} as Transport);
await uploadFile(files, new Blob(['a']), { filename: await md5Of(new Blob()) });
// @ts-expect-error: a browser has no paths
await uploadFile(files, 'a');
`,
    );
    await compile('browser.ts', ['--module', 'preserve', '--lib', 'es2024,dom', '--types', '', ...flags]);
  });

  it('computes MD5s with the library that the browser tests use', async () => {
    const read = async (path: string) => JSON.parse(await readFile(join(PROJECT, path), 'utf8'));
    const { dependencies } = await read('src/client/package.json');
    const { devDependencies } = await read('package.json');
    expect(dependencies['hash-wasm']).toBe(devDependencies['hash-wasm']);
  });

  it('contains its README', async () => {
    const packed = await readFile(join(project.path, 'node_modules/file-service-client/README.md'), 'utf8');
    expect(packed).toBe(await readFile(join(PROJECT, 'src/client/README.md'), 'utf8'));
  });

  async function compile(file: string, flags: readonly string[]): Promise<void> {
    const strict = ['--noEmit', '--strict', '--skipLibCheck', 'false', '--target', 'es2024'];
    await runProgram(join(PROJECT, 'node_modules/.bin/tsc'), [...strict, ...flags, file], project.path);
  }
});
