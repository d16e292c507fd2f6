import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { PROJECT } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { output } from './command.ts';
import { GO_CLIENT, GO_OFFLINE } from './toolchain.ts';

/** The first build of all compiles grpc-go and both plugins: 15 s on two idle cores, and these are not idle. */
export const GO_BUILD_TIMEOUT_MS = 140_000;

/** @returns the program's path, which goes with the resources */
export async function buildGoClient(resources: AsyncDisposableStack): Promise<string> {
  const { path: directory } = resources.use(await temporaryDirectory());
  await cp(GO_CLIENT, directory, { recursive: true });
  const options = { cwd: directory, env: { ...process.env, ...GO_OFFLINE } };
  await output(join(PROJECT, 'node_modules/.bin/buf'), ['generate', PROJECT], options);
  await output('go', ['vet', '.'], options);
  await output('go', ['build', '-o', 'files-client', '.'], options);
  return join(directory, 'files-client');
}
