/**
 * Installs the libraries of the clients in other languages, the JavaScript runtimes of test/client, and the S3 server
 * moto, into caches outside the project. Run it once, and after each change of their versions.
 */
import { installRuntimes, missingRuntimes } from '../client/runtimes/installed.ts';
import { findMoto, MOTO_ENVIRONMENT, MOTO_REQUIREMENTS } from '../servers/moto.ts';
import { go } from './clients/languages/go.ts';
import { java } from './clients/languages/java.ts';
import { python } from './clients/languages/python.ts';
import { installPython } from './clients/languages/python-environment.ts';
import { rust } from './clients/languages/rust.ts';

await Promise.all([
  ...[go, java, python, rust].map(async (language) => {
    if ((await language.missing()) !== undefined) await language.install();
  }),
  (async () => {
    if (missingRuntimes() !== undefined) await installRuntimes();
  })(),
  (async () => {
    if ((await findMoto()) === undefined) await installPython(MOTO_ENVIRONMENT, MOTO_REQUIREMENTS);
  })(),
]);
