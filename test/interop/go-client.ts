import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { PROJECT } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { output } from './command.ts';
import { GO_CLIENT, GO_OFFLINE } from './toolchain.ts';

/**
 * The first build compiles grpc-go and both plugins. It takes 15 s on two idle cores, and more during a test
 * run.
 */
export const GO_BUILD_TIMEOUT_MS = 140_000;

export interface GoClient extends AsyncDisposable {
  /** The path of the program, which the disposal removes. */
  readonly program: string;
}

export async function buildGoClient(): Promise<GoClient> {
  await using building = new AsyncDisposableStack();
  const { path: directory } = building.use(await temporaryDirectory());
  await cp(GO_CLIENT, directory, { recursive: true });
  const options = { cwd: directory, env: { ...process.env, ...GO_OFFLINE } };
  await output(
    join(PROJECT, 'node_modules/.bin/buf'),
    ['generate', PROJECT, '--path', join(PROJECT, 'proto/files')],
    options,
  );
  await output('go', ['vet', '.'], options);
  await output('go', ['build', '-o', 'files-client', '.'], options);
  const built = building.move();
  return { program: join(directory, 'files-client'), [Symbol.asyncDispose]: () => built.disposeAsync() };
}
