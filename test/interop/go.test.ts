import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, test } from 'vitest';
import { newUser } from '../harness/made-up.ts';
import { PROJECT } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { expectJourney, expectRetry } from './client-program.ts';
import { output } from './command.ts';
import { describeWith } from './describe-with.ts';
import { type InteropService, startInteropService } from './service.ts';
import { GO_CLIENT, GO_OFFLINE, missingGo } from './toolchain.ts';

/** Of google.golang.org/grpc/codes. */
const CODES = {
  invalidArgument: 'InvalidArgument',
  notFound: 'NotFound',
  unauthenticated: 'Unauthenticated',
  unavailable: 'Unavailable',
};

/** The first build of all compiles grpc-go and both plugins: 15 s on two idle cores, and these are not idle. */
const BUILD_TIMEOUT_MS = 140_000;

describeWith('a client in Go', await missingGo(), () => {
  const resources = new AsyncDisposableStack();
  let service: InteropService;
  let client: string;

  beforeAll(async () => {
    const { path: directory } = resources.use(await temporaryDirectory());
    await cp(GO_CLIENT, directory, { recursive: true });
    const options = { cwd: directory, env: { ...process.env, ...GO_OFFLINE } };
    await output(join(PROJECT, 'node_modules/.bin/buf'), ['generate', PROJECT], options);
    await output('go', ['vet', '.'], options);
    await output('go', ['build', '-o', 'files-client', '.'], options);
    client = join(directory, 'files-client');
    service = resources.use(await startInteropService());
  }, BUILD_TIMEOUT_MS);

  afterAll(() => resources.disposeAsync());

  test('goes through a whole journey, failures and their details included', async () => {
    const user = newUser();
    const printed = await output(client, ['journey', service.grpc, user]);
    expectJourney(printed, user, 'what a Go client keeps\n', CODES);
  });

  // The last one: the service does not come back from it.
  test('is told when to retry', async () => {
    await service.loseDatabase();
    expectRetry(await output(client, ['list', service.grpc, newUser()]), CODES);
  });
});
