import { execFile } from 'node:child_process';
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PROJECT } from '../harness/service-process.ts';

const run = promisify(execFile);

const MIGRATIONS = 'src/postgres/migrations';

/** Two releases of the service, one migration apart: the directories of their sources. */
export interface Releases {
  older: string;
  newer: string;
}

/**
 * Returns this release, and the release before it: the commit before the newest migration. While there is only
 * one migration, this release is the older one, and the newer one is this release with a migration more.
 */
export async function twoReleases(directory: string): Promise<Releases> {
  const migrations = (await readdir(join(PROJECT, MIGRATIONS))).sort();
  const newest = migrations.at(-1);
  if (migrations.length === 1 || newest === undefined)
    return { older: PROJECT, newer: await withNext(directory) };
  const { stdout } = await run(
    'git',
    ['log', '--format=%H', '--diff-filter=A', '--', `${MIGRATIONS}/${newest}`],
    {
      cwd: PROJECT,
    },
  );
  const commit = stdout.trim().split('\n').at(-1);
  return { older: await checkOut(`${commit}^`, directory), newer: PROJECT };
}

/** The sources of a commit, with the packages of this release. */
async function checkOut(commit: string, directory: string): Promise<string> {
  const path = join(directory, 'older');
  await mkdir(path);
  const archive = join(directory, 'older.tar');
  await run('git', ['archive', `--output=${archive}`, commit, 'src', 'gen', 'package.json'], {
    cwd: PROJECT,
  });
  await run('tar', ['-xf', archive, '-C', path]);
  await symlink(join(PROJECT, 'node_modules'), join(path, 'node_modules'));
  return path;
}

const NEXT = `
import { type Kysely, sql } from 'kysely';
export const serves = '0001-files';
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql\`alter table files add column next_release text not null default 'default'\`.execute(db);
}
`;

async function withNext(directory: string): Promise<string> {
  const path = join(directory, 'newer');
  for (const part of ['src', 'gen', 'package.json']) {
    await cp(join(PROJECT, part), join(path, part), { recursive: true });
  }
  await symlink(join(PROJECT, 'node_modules'), join(path, 'node_modules'));
  await writeFile(join(path, MIGRATIONS, '0002-next.ts'), NEXT);
  const migrate = join(path, 'src/postgres/migrate.ts');
  const before = await readFile(migrate, 'utf8');
  const list = "{ '0001-files': files }";
  const after = before.replace(
    list,
    "{ '0001-files': files, '0002-next': await import('./migrations/0002-next.ts') }",
  );
  if (after === before) throw new Error(`${migrate} has no ${list}`);
  await writeFile(migrate, after);
  return path;
}
