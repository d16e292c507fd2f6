import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'vitest';
import { forAllTests } from '../../harness/for-all-tests.ts';
import { newUser } from '../../harness/random.ts';
import type { ServiceProcess } from '../../harness/service-process.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';
import { describeWith } from '../describe-with.ts';
import { startInteropService } from '../service.ts';
import { BUILD_TIMEOUT_MS, buildClient } from './build-client.ts';
import { expectJourney, expectRetry } from './expect-client.ts';
import type { CodeNames, Language } from './language.ts';

/** One way in which a client program talks to the service. */
export interface Transport {
  name: string;
  /** The arguments of the client program before the address of the service. */
  words: readonly string[];
  address: (service: ServiceProcess) => string;
  codes: CodeNames;
}

/** Two parts: all parts but the last have 64 MiB. */
const LARGE_BYTES = 64 * 1024 ** 2 + 7;

const JOURNEY_TIMEOUT_MS = 90_000;

export async function describeClient(language: Language, transports?: readonly Transport[]): Promise<void> {
  const grpc: Transport = {
    name: 'gRPC',
    words: [],
    address: (service) => service.grpc,
    codes: language.codes,
  };
  describeWith(`a client in ${language.name}`, await language.missing(), () => {
    const client = forAllTests(() => buildClient(language), BUILD_TIMEOUT_MS);
    const service = forAllTests(startInteropService);
    const directory = forAllTests(temporaryDirectory);
    const over = test.each(transports ?? [grpc]);

    over(
      'uploads, lists, downloads and deletes files over $name, and reads the details of errors',
      async ({ words, address, codes }) => {
        const user = newUser();
        const small = Buffer.from(`the report of ${user}\n`);
        const large = Buffer.alloc(LARGE_BYTES, randomBytes(64));
        const paths = ['small', 'large', 'empty'].map((name) => join(directory.path, name));
        const contents = [small, large, ''];
        await Promise.all(paths.map((path, index) => writeFile(path, contents[index] ?? '')));
        const printed = await client.run('journey', ...words, address(service), user, ...paths);
        expectJourney(printed, user, { small, large }, codes);
      },
      JOURNEY_TIMEOUT_MS,
    );

    // This test must be the last one, because it takes the database from the service and does not give it back.
    test('gets RetryInfo when the database is down', async () => {
      await service.servers.loseDatabase();
      for (const { words, address, codes } of transports ?? [grpc]) {
        expectRetry(await client.run('list', ...words, address(service), newUser()), codes);
      }
    });
  });
}
