import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, test } from 'vitest';
import { newUser } from '../harness/random.ts';
import { PROJECT } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { expectJourney, expectRetry } from './client-program.ts';
import { output } from './command.ts';
import { describeWith } from './describe-with.ts';
import { type InteropService, startInteropService } from './service.ts';
import { missingPython, PYTHON, PYTHON_CLIENT } from './toolchain.ts';

/** The names of the codes in grpc.StatusCode. */
const CODES = {
  invalidArgument: 'INVALID_ARGUMENT',
  notFound: 'NOT_FOUND',
  unauthenticated: 'UNAUTHENTICATED',
  unavailable: 'UNAVAILABLE',
};

describeWith('a client in Python', await missingPython(), () => {
  const resources = new AsyncDisposableStack();
  let service: InteropService;
  let generated: string;

  const client = (...words: string[]) =>
    output(PYTHON, [join(PYTHON_CLIENT, 'client.py'), ...words], {
      // Python must not write compiled files beside the sources.
      env: { ...process.env, PYTHONPATH: generated, PYTHONDONTWRITEBYTECODE: '1' },
    });

  beforeAll(async () => {
    generated = resources.use(await temporaryDirectory()).path;
    const protos = join(PROJECT, 'proto');
    const names = (await readdir(protos, { recursive: true })).filter((name) => name.endsWith('.proto'));
    const to = [`--python_out=${generated}`, `--grpc_python_out=${generated}`];
    await output(PYTHON, ['-m', 'grpc_tools.protoc', '-I', protos, ...to, ...names]);
    service = resources.use(await startInteropService());
  });

  afterAll(() => resources.disposeAsync());

  test('uploads, lists, downloads and deletes a file, and reads the details of errors', async () => {
    const user = newUser();
    expectJourney(await client('journey', service.grpc, user), user, 'what a Python client keeps\n', CODES);
  });

  // The last test, because the service loses its database for good.
  test('gets RetryInfo when the database is down', async () => {
    await service.loseDatabase();
    expectRetry(await client('list', service.grpc, newUser()), CODES);
  });
});
