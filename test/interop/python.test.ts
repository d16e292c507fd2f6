import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, test } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { PROJECT } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { expectJourney, expectRetry } from './client-program.ts';
import { output } from './command.ts';
import { describeWith } from './describe-with.ts';
import { startInteropService } from './service.ts';
import { missingPython, PYTHON, PYTHON_CLIENT } from './toolchain.ts';

/** The names of the codes in grpc.StatusCode. */
const CODES = {
  invalidArgument: 'INVALID_ARGUMENT',
  notFound: 'NOT_FOUND',
  unauthenticated: 'UNAUTHENTICATED',
  unavailable: 'UNAVAILABLE',
};

describeWith('a client in Python', await missingPython(), () => {
  const service = forAllTests(startInteropService);
  const generated = forAllTests(temporaryDirectory);

  const client = (...words: string[]) =>
    output(PYTHON, [join(PYTHON_CLIENT, 'client.py'), ...words], {
      // Python must not write compiled files beside the sources.
      env: { ...process.env, PYTHONPATH: generated.path, PYTHONDONTWRITEBYTECODE: '1' },
    });

  beforeAll(async () => {
    const protos = join(PROJECT, 'proto');
    const names = (await readdir(join(protos, 'files/v1'))).map((name) => join('files/v1', name));
    const to = [`--python_out=${generated.path}`, `--grpc_python_out=${generated.path}`];
    await output(PYTHON, ['-m', 'grpc_tools.protoc', '-I', protos, ...to, ...names]);
  });

  test('uploads, lists, downloads and deletes a file, and reads the details of errors', async () => {
    const user = newUser();
    expectJourney(await client('journey', service.grpc, user), user, 'what a Python client keeps\n', CODES);
  });

  // The last test, because the service loses its database for good.
  test('gets RetryInfo when the database is down', async () => {
    await service.servers.loseDatabase();
    expectRetry(await client('list', service.grpc, newUser()), CODES);
  });
});
