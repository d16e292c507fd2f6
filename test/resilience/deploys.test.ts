import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { expect, type TestContext, test, vi } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { LONG } from '../harness/long-form.ts';
import { newUser } from '../harness/random.ts';
import { BUILD_TIMEOUT_MS, buildClient } from '../interop/clients/build-client.ts';
import { go } from '../interop/clients/languages/go.ts';
import { describeWith } from '../interop/describe-with.ts';
import { connectCaller, grpcJsCaller } from './callers.ts';
import { report } from './outcome.ts';
import { balance, deploy, type Instance } from './rolling-deploy.ts';
import { type LoadFigures, type SteadyLoad, startSteadyLoad } from './steady-load.ts';

/** Each SIGTERM needs a stop and a start, which take five seconds each on a busy machine. */
vi.setConfig({ testTimeout: LONG ? 400_000 : 60_000 });

const SIGTERMS = LONG ? 20 : 2;

/** The time that the README promises for a stop with the default STOP_DELAY_SECONDS. */
const STOP_MAX_MS = 10_000;

/** In the short form, a busy machine with 32 users at once needs so long for a call that S3 counts as down. */
const USERS = LONG ? 32 : 8;

/** Replaces instances under load. Fails if a call fails or a stop takes too long. */
async function rollUnderLoad(
  context: TestContext,
  instanceCount: number,
  start: (instances: readonly Instance[]) => SteadyLoad,
): Promise<void> {
  await using deployment = await deploy(instanceCount);
  const load = start(deployment.instances);
  const stopsMs = await deployment.roll(SIGTERMS);
  const { calls, failures, slowestMs } = await load.stop();
  expect(failures).toEqual([]);
  expect(Math.max(...stopsMs)).toBeLessThan(STOP_MAX_MS);
  // The load continued during all stops, and did not end with the first.
  expect(calls).toBeGreaterThan(SIGTERMS * USERS);
  report(
    context,
    `${failures.length} of ${calls} calls failed`,
    `slowest call ${seconds(slowestMs)}, slowest stop ${seconds(Math.max(...stopsMs))}`,
  );
}

const seconds = (milliseconds: number) => `${(milliseconds / 1_000).toFixed(1)} s`;

const grpcJsLoad = (instances: readonly Instance[]) =>
  startSteadyLoad(grpcJsCaller(instances.map(({ grpc }) => grpc)), USERS);

test(`${SIGTERMS} rolling SIGTERMs under load: grpc-js over two instances`, (context) =>
  rollUnderLoad(context, 2, grpcJsLoad));

test.runIf(LONG)(
  `${SIGTERMS} SIGTERMs of the only instance under load: grpc-js waits for the next instance`,
  (context) => rollUnderLoad(context, 1, grpcJsLoad),
);

test.runIf(LONG).for(['1.1', '2'] as const)(
  `${SIGTERMS} rolling SIGTERMs under load: Connect over HTTP/%s, balanced by /readyz`,
  (version, context) =>
    rollUnderLoad(context, 2, (instances) => {
      return startSteadyLoad(connectCaller(version, balance(instances)), USERS);
    }),
);

// The Go client takes longer to build than all other tests of this file take together.
if (LONG) {
  describeWith('a client in Go', await go.missing(), () => {
    const client = forAllTests(() => buildClient(go), BUILD_TIMEOUT_MS);

    const goLoad = (instances: readonly Instance[]): SteadyLoad => {
      const addresses = instances.map(({ grpc }) => grpc).join(',');
      const load = spawn(client.command[0], ['load', addresses, newUser()], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      return {
        async stop() {
          load.stdin.end();
          return JSON.parse(await text(load.stdout)) as LoadFigures;
        },
      };
    };

    test(`${SIGTERMS} rolling SIGTERMs under load: grpc-go over two instances`, (context) =>
      rollUnderLoad(context, 2, goLoad));

    test(`${SIGTERMS} SIGTERMs of the only instance under load: grpc-go waits for the next instance`, (context) =>
      rollUnderLoad(context, 1, goLoad));
  });
}
