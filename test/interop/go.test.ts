import { afterAll, beforeAll, test } from 'vitest';
import { newUser } from '../harness/random.ts';
import { expectJourney, expectRetry } from './client-program.ts';
import { output } from './command.ts';
import { describeWith } from './describe-with.ts';
import { buildGoClient, GO_BUILD_TIMEOUT_MS } from './go-client.ts';
import { type InteropService, startInteropService } from './service.ts';
import { missingGo } from './toolchain.ts';

/** The names of the codes in google.golang.org/grpc/codes. */
const CODES = {
  invalidArgument: 'InvalidArgument',
  notFound: 'NotFound',
  unauthenticated: 'Unauthenticated',
  unavailable: 'Unavailable',
};

describeWith('a client in Go', await missingGo(), () => {
  const resources = new AsyncDisposableStack();
  let service: InteropService;
  let client: string;

  beforeAll(async () => {
    client = await buildGoClient(resources);
    service = resources.use(await startInteropService());
  }, GO_BUILD_TIMEOUT_MS);

  afterAll(() => resources.disposeAsync());

  test('uploads, lists, downloads and deletes a file, and reads the details of errors', async () => {
    const user = newUser();
    const printed = await output(client, ['journey', service.grpc, user]);
    expectJourney(printed, user, 'what a Go client keeps\n', CODES);
  });

  // The last test, because the service loses its database for good.
  test('gets RetryInfo when the database is down', async () => {
    await service.loseDatabase();
    expectRetry(await output(client, ['list', service.grpc, newUser()]), CODES);
  });
});
