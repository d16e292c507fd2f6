import { test } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { expectJourney, expectRetry } from './client-program.ts';
import { output } from './command.ts';
import { describeWith } from './describe-with.ts';
import { buildGoClient, GO_BUILD_TIMEOUT_MS } from './go-client.ts';
import { startInteropService } from './service.ts';
import { missingGo } from './toolchain.ts';

/** The names of the codes in google.golang.org/grpc/codes. */
const CODES = {
  invalidArgument: 'InvalidArgument',
  notFound: 'NotFound',
  unauthenticated: 'Unauthenticated',
  unavailable: 'Unavailable',
};

describeWith('a client in Go', await missingGo(), () => {
  const client = forAllTests(buildGoClient, GO_BUILD_TIMEOUT_MS);
  const service = forAllTests(startInteropService);

  test('uploads, lists, downloads and deletes a file, and reads the details of errors', async () => {
    const user = newUser();
    const printed = await output(client.program, ['journey', service.grpc, user]);
    expectJourney(printed, user, 'what a Go client keeps\n', CODES);
  });

  // The last test, because the service loses its database for good.
  test('gets RetryInfo when the database is down', async () => {
    await service.servers.loseDatabase();
    expectRetry(await output(client.program, ['list', service.grpc, newUser()]), CODES);
  });
});
