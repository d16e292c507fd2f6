import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rust, takeProgram } from '../clients/languages/rust.ts';
import { describeConsumer } from './describe-consumer.ts';
import { grpcConsumer } from './grpc-consumer.ts';

/** Another name than that of the client, which may be built at the same time in the folder that all crates share. */
const CRATE = 'files-consumer';

const MANIFESTS = ['Cargo.toml', 'Cargo.lock'];

await describeConsumer(
  grpcConsumer(
    {
      ...rust,
      async configure(directory) {
        for (const path of MANIFESTS.map((name) => join(directory, name))) {
          await writeFile(path, (await readFile(path, 'utf8')).replace('"files-client"', `"${CRATE}"`));
        }
      },
      build: async (directory) => [await takeProgram(directory, CRATE)],
    },
    [...MANIFESTS, 'build.rs'],
  ),
);
