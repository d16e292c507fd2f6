import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { output } from '../../command.ts';
import { cacheDirectory, missingPrograms, PREPARE } from '../../toolchain.ts';
import { buildClient, environmentOf, INSTALL_TIMEOUT_MS } from '../build-client.ts';
import { type Language, UPPER_CASE } from '../language.ts';
import { complete, isComplete } from './complete.ts';

/** Maven's repository with exactly what the client needs: 70 MB. */
const REPOSITORY = cacheDirectory('java', join(import.meta.dirname, '../java/pom.xml'));

export const java: Language = {
  name: 'java',
  codes: UPPER_CASE,
  environment: {},
  async missing() {
    const missing = await missingPrograms('mvn', 'javac');
    if (missing !== undefined) return missing;
    return (await isComplete(REPOSITORY))
      ? undefined
      : `Maven has not the libraries of the client (${PREPARE})`;
  },
  install: () =>
    complete(REPOSITORY, async () => {
      await using _ = await buildClient(
        { ...java, configure: (directory) => configureMaven(directory, []) },
        INSTALL_TIMEOUT_MS,
      );
    }),
  configure: (directory) => configureMaven(directory, ['--offline']),
  async build(directory) {
    const file = join(directory, 'classpath');
    const options = { cwd: directory, env: environmentOf(java) };
    await output('mvn', ['dependency:build-classpath', `-Dmdep.outputFile=${file}`], options);
    const classpath = `${join(directory, 'target/classes')}:${await readFile(file, 'utf8')}`;
    return ['java', '-cp', classpath, 'com.example.files.Main'];
  },
};

async function configureMaven(directory: string, more: readonly string[]): Promise<void> {
  await mkdir(join(directory, '.mvn'));
  const words = ['--quiet', '--batch-mode', `-Dmaven.repo.local=${REPOSITORY}`, ...more];
  await writeFile(join(directory, '.mvn/maven.config'), words.join('\n'));
}
